"""The network to a server that somebody else runs is cut at random points of a load."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from random import Random
from typing import Any

from pytest_thor.report.document import LaunchRecord
from pytest_thor.report.reading import read as read_report
from tests.fakes.stub_server import Stub
from tests.faults.checks import Expected, Findings, check
from tests.faults.cutting_proxy import Cut, CuttingProxy, proxied
from tests.faults.ordeal import Tally
from tests.faults.scene import Scene

REQUESTS, TOKENS = 12, 8
MATRIX = """\
name: faults
models:
  remote: {{hf: remote/model, quants: [BF16]}}
backends:
  there: {{engine: openai, timeout: 20s, settings: {{url: "http://127.0.0.1:{port}", ready_timeout_s: 5}}}}
workloads:
  load: {{kind: serving, input_len: 8, output_len: {tokens}, num_prompts: {requests}, max_concurrency: 2}}
"""


class _Server(Stub):
    """Takes its time for each token."""

    dies = False

    @staticmethod
    def event(handler: BaseHTTPRequestHandler, content: Any) -> None:
        Stub.event(handler, content)
        handler.wfile.flush()
        time.sleep(0.004)


def _ignore(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting:
    """One way to cut: for how long at most, in seconds."""

    kind: Cut
    longest_s: float

    @property
    def name(self) -> str:
        """What a table calls it."""
        return {
            "refuse": "the server refuses connections",
            "reset": "connections are reset",
            "stall": "the network stalls",
        }[self.kind]

    def strike(self, proxy: CuttingProxy, random: Random) -> str:
        """Cut now, and say what was done."""
        seconds = random.uniform(0.0, self.longest_s)
        proxy.cut(self.kind, seconds=seconds)
        return f"for {seconds:.3f} s"


class ServedScene(Scene):
    """A repository whose one cell is a load on a server that runs elsewhere; it has no baseline."""

    def __init__(self, root: Path, model: Path, *, port: int) -> None:
        super().__init__(root, model, real=False, launches=2)
        self.cells = {"remote-BF16-there-load": "load"}
        text = MATRIX.format(port=port, tokens=TOKENS, requests=REQUESTS)
        (self.root / "faults.yaml").write_text(text)
        self.real = True  # nobody knows its figures beforehand


@contextlib.contextmanager
def served(root: Path, model: Path) -> Iterator[tuple[ServedScene, CuttingProxy]]:
    """Have a server, a proxy before it that can be cut, and a repository that measures it."""
    root.mkdir()
    (root / "server.json").write_text("{}")
    with _Server(str(root / "server"), []).server(0) as server:
        setattr(server, "handle_error", _ignore)  # noqa: B010 - its clients are cut off on purpose
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with proxied(server.server_port) as proxy:
            yield ServedScene(root / "scene", model, port=proxy.port), proxy
        server.shutdown()


def suffer_cuts(
    scene: ServedScene, proxy: CuttingProxy, cuttings: Sequence[Cutting], random: Random, *, strikes: int
) -> Tally:
    """Cut so many runs once each, one way or the other, at a random point of their loads; leave the last in peace."""
    tally = Tally(fault=cuttings[0].name)
    for strike in range(strikes):
        cutting = cuttings[strike % len(cuttings)]
        scene.anew()
        before = proxy.forwarded
        running = scene.start()
        answered = random.randrange(3000)
        running.wait_for(partial(_has_forwarded, proxy, before + answered))
        time.sleep(random.uniform(0.0, 0.1))
        struck = running.alive
        at = f"{cutting.name} after {answered} bytes, {cutting.strike(proxy, random)}"
        ended = running.end()
        expected = Expected(statuses=frozenset({0, 1, 8}), words=("openai", "requests failed", "was not ready"))
        findings = check(scene, ended, expected=expected, finished_before={}, faults=1)
        findings.add("wrong verdicts", _believed(scene))
        tally.strikes += struck
        tally.missed += not struck
        tally.add(at, findings)
    scene.anew()
    findings = Findings()
    ended = scene.start().end()
    findings.add("wrong verdicts", _believed(scene))
    if ended.code != 0:
        findings.add("unclear messages", iter([f"exit status {ended.code} in peace:\n{ended.output[-2000:]}"]))
    tally.add("in peace", findings)
    tally.runs_completed += 1
    return tally


def _has_forwarded(proxy: CuttingProxy, size: int) -> bool:
    return proxy.forwarded >= size


def _believed(scene: ServedScene) -> Iterator[str]:
    """Say which launch is believed though its load was not answered whole."""
    report = read_report(scene.report)
    for record in report.cells:
        sound = [launch for launch in record.launches if launch.failure is None and not launch.doubts]
        for launch in sound:
            yield from (f"{record.id} is believed: {why}" for why in _missing(launch))
        if record.verdict not in {None, "invalid"} and len(sound) < len(record.launches):
            yield f"{record.id} is {record.verdict}, and only {len(sound)} of {len(record.launches)} launches are sound"


def _missing(launch: LaunchRecord) -> Iterator[str]:
    told = launch.evidence
    if told["requests"]["complete"] != REQUESTS or told["tokens"]["output"] != REQUESTS * TOKENS:
        yield f"{json.dumps(told['requests'])}, {json.dumps(told['tokens'])}"
    if len(launch.samples["ttft_ms"]) != REQUESTS:
        yield f"{len(launch.samples['ttft_ms'])} latencies of {REQUESTS} requests"
