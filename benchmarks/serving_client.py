"""The serving client against a server with known send times: how late it stamps, what it costs, how much it holds.

The scripted server runs in a process of its own and writes into each token the moment at which it hands it to the
kernel, on a clock that both processes share. A client's lag is its stamp less that moment; the error of a gap between
tokens is the difference of two lags. Streams send in step, as an engine's do that decodes them in one batch; one more
table has them spread evenly, where the client is woken for every single token. Clients take turns, so that what else
the machine does meets all alike; medians over the rounds are shown:

    serving        pytest_thor.serving: epoll, arrivals stamped by the kernel (what the plugin measures with)
    serving, late  the same arrivals as the client's own clock has them
    asyncio        a bare asyncio Protocol with the same care: stamped on bytes, decoded after the run
    requests       requests.iter_lines(chunk_size=1) in a thread per stream, as benchmark scripts do
    vllm           the client of ``vllm bench serve``, where THOR_VLLM names an environment that has it; it cannot be
                   asked to spread streams evenly, and does not open its connections ahead

    [THOR_VLLM=.venv-vllm/bin/python] python benchmarks/serving_client.py [--rounds 3] [--seconds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from pytest_thor.cell import Workload
from pytest_thor.engines.vllm_client import WORKER, client_environment, client_job
from pytest_thor.engines.vllm_install import find_interpreter
from pytest_thor.serving.asked import Asked
from pytest_thor.serving.backlog import Backlog
from pytest_thor.serving.client import Client
from pytest_thor.serving.connection import look_up
from pytest_thor.serving.course import Callbacks, Limits, quiet_collector
from pytest_thor.serving.exchange import Exchange
from pytest_thor.serving.load import Load, PlannedRequest
from pytest_thor.serving.metrics import percentile
from pytest_thor.serving.queue import RequestQueue
from pytest_thor.serving.request_bytes import request_bytes
from pytest_thor.serving.target import Target

SERVER = Path(__file__).parents[1] / "tests" / "fakes" / "scripted_server.py"
STAMP = re.compile(rb'"text":"(\d{16})"')
PROMPT = tuple(range(2048))
TARGETS = {8: 0.5, 128: 1.0}
"""Streams to the lag in ms that TTFT and ITL may have at p99."""
TARGET_CPU_US = 25.0
TARGET_STREAMS = 1000
TARGET_MIB = 300

Lags = list[list[tuple[int, int]]]
"""Per stream, when each token was sent and when it was stamped as arrived, in ns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How many streams there are, how fast, how long, and whether they send in step or spread over the interval."""

    streams: int
    rate_tps: float
    tokens: int
    staggered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one client made of one scenario."""

    lags: Lags
    cpu_s: float


@contextlib.contextmanager
def scripted_server(scenario: Scenario) -> Iterator[int]:
    """Run the server in its own process and give its port."""
    interval_ms = 1000 / scenario.rate_tps
    arguments = ["--tokens", str(scenario.tokens), "--interval-ms", str(interval_ms)]
    with subprocess.Popen([sys.executable, str(SERVER), *arguments], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def target(port: int) -> Target:
    """Return the scripted server as a target."""
    return Target(host="127.0.0.1", port=port, model="scripted", dialect="openai")


def planned(scenario: Scenario) -> list[PlannedRequest]:
    """Return one request for each stream."""
    return [
        PlannedRequest(
            index=index,
            prompt=PROMPT,
            output_len=scenario.tokens,
            arrival_s=index / scenario.rate_tps / scenario.streams if scenario.staggered else 0.0,
        )
        for index in range(scenario.streams)
    ]


def drive_serving(scenario: Scenario, port: int, *, by_kernel: bool = True) -> Outcome:
    """Measure the plugin's own client, all of it from connecting to the last byte."""
    over: list[Exchange] = []
    client = Client(look_up("127.0.0.1", port, tls=False))
    if not by_kernel:
        client.clock = _OwnClock()  # type: ignore[assignment] # what it would be without the kernel's stamps
    queue = RequestQueue(planned(scenario), lambda one: encoded(one, port), ready=scenario.streams)
    limits = Limits(slots=None, duration_s=None, request_timeout_s=60, deadline_ns=time.perf_counter_ns() + 10**11)
    callbacks = Callbacks(over=over.append, idle=lambda: False, progress=lambda: None, server_died=lambda: None)
    with contextlib.closing(client), quiet_collector():
        client.open(scenario.streams)
        cpu_s = time.process_time()
        client.run(queue, limits, callbacks)
        cpu_s = time.process_time() - cpu_s
    return Outcome(lags=[stamped(zip(one.stamps, one.pieces, strict=True)) for one in over], cpu_s=cpu_s)


def encoded(one: PlannedRequest, port: int) -> bytes:
    """Return a request as the plugin sends it."""
    return request_bytes(one, target(port), api="completions", salt=None, prefix_cache=None)


class _OwnClock:
    """The client's own clock in place of the kernel's stamps."""

    def woken(self) -> int:
        """Return the time."""
        return time.perf_counter_ns()

    def arrival_ns(self, _: object, now_ns: int) -> int:
        """Return the moment of reading."""
        return now_ns


class _Stream(asyncio.Protocol):
    def __init__(self) -> None:
        self.arrived: list[tuple[int, bytes]] = []
        self.over = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.arrived.append((time.perf_counter_ns(), data))
        if data.endswith(b"0\r\n\r\n"):
            self.over.set_result(None)


def drive_asyncio(scenario: Scenario, port: int) -> Outcome:
    """Measure a bare asyncio Protocol."""

    async def run() -> Outcome:
        loop = asyncio.get_running_loop()
        opened = [await loop.create_connection(_Stream, "127.0.0.1", port) for _ in range(scenario.streams)]
        requests = [(one.arrival_s or 0.0, encoded(one, port)) for one in planned(scenario)]
        cpu_s, start = time.process_time(), loop.time()
        for (transport, _), (arrival_s, request) in zip(opened, requests, strict=True):
            loop.call_at(start + arrival_s, transport.write, request)
        await asyncio.gather(*(stream.over for _, stream in opened))
        cpu_s = time.process_time() - cpu_s
        for transport, _ in opened:
            transport.close()
        return Outcome(lags=[stamped(stream.arrived) for _, stream in opened], cpu_s=cpu_s)

    with quiet_collector():
        return asyncio.run(run())


def drive_requests(scenario: Scenario, port: int) -> Outcome:
    """Measure requests.iter_lines in threads."""
    import requests

    lags: Lags = []

    def read(one: PlannedRequest) -> None:
        time.sleep(one.arrival_s or 0.0)
        arrived = []
        with session.post(url, data=encoded(one, port).partition(b"\r\n\r\n")[2], stream=True, timeout=60) as response:
            for line in response.iter_lines(chunk_size=1):
                arrived.append((time.perf_counter_ns(), line))  # noqa: PERF401 - stamped one by one
        lags.append(stamped(arrived))

    url = f"http://127.0.0.1:{port}/v1/completions"
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=scenario.streams))
        threads = [threading.Thread(target=read, args=(one,)) for one in planned(scenario)]
        cpu_s = time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Outcome(lags=lags, cpu_s=time.process_time() - cpu_s)


def drive_vllm(scenario: Scenario, port: int) -> Outcome:
    """Measure the client of ``vllm bench serve``: arrivals from its own figures, what was sent from its texts."""
    requests = planned(scenario)
    workload = Workload(name="streams", kind="serving", parameters=())
    load = Load(
        seed=0, requests=requests, warmup=(), max_concurrency=None, duration_s=None, prefix_cache=False, salt=None
    )
    job = client_job(load, Asked.of(workload), target(port), requests) | {"keep": ["generated_texts"]}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "job.json").write_text(json.dumps(job))
        subprocess.run(
            [find_interpreter(None).path, str(WORKER), folder],
            env=client_environment(target(port)),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        told = json.loads((Path(folder) / "result.json").read_text())
    lags = []
    for start_s, ttft_s, gaps_s, text in zip(
        told["start_times"], told["ttfts"], told["itls"], told["generated_texts"], strict=True
    ):
        arrived_ns = [int(at_s * 1e9) for at_s in accumulate((start_s + ttft_s, *gaps_s))]
        sent_ns = [int(text[at : at + 16]) for at in range(0, len(text), 16)]
        lags.append(list(zip(sent_ns, arrived_ns, strict=False)))  # the closing message brings nothing
    return Outcome(lags=lags, cpu_s=told["cpu_s"])


def stamped(arrived: Iterable[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """Return when each token was sent and arrived; a token cut in two by the network is left to its second half."""
    found, rest = [], b""
    for arrival_ns, data in arrived:
        seen = rest + data
        matches = list(STAMP.finditer(seen))
        found += [(int(match[1]), arrival_ns) for match in matches]
        rest = seen[matches[-1].end() :] if matches else seen
    return found


CLIENTS: dict[str, Callable[[Scenario, int], Outcome]] = {
    "serving": drive_serving,
    "serving, late": lambda scenario, port: drive_serving(scenario, port, by_kernel=False),
    "asyncio": drive_asyncio,
    "requests": drive_requests,
    **({"vllm": drive_vllm} if "THOR_VLLM" in os.environ else {}),
}


def figures(scenario: Scenario, outcome: Outcome) -> dict[str, float]:
    """Return lags in ms, the CPU time for a token in µs, and tokens lost."""
    lags = [[(arrived - sent) / 1e6 for sent, arrived in stream] for stream in outcome.lags]
    first = sorted(stream[0] for stream in lags if stream)
    gaps = sorted(abs(later - earlier) for stream in lags for earlier, later in pairwise(stream))
    tokens = sum(len(stream) for stream in lags)
    return {
        "ttft p50": percentile(first, 0.5),
        "ttft p99": percentile(first, 0.99),
        "itl p50": percentile(gaps, 0.5),
        "itl p99": percentile(gaps, 0.99),
        "µs/token": outcome.cpu_s / tokens * 1e6,
        "lost": scenario.streams * scenario.tokens - tokens,
    }


def compare(scenario: Scenario, rounds: int) -> dict[str, dict[str, float]]:
    """Let the clients take turns; return the median of each one's figures."""
    clients = {name: drive for name, drive in CLIENTS.items() if not (scenario.staggered and name == "vllm")}
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in clients}
    for _ in range(rounds):
        for name, drive in clients.items():
            with scripted_server(scenario) as port:
                seen[name].append(figures(scenario, drive(scenario, port)))
    return {
        name: {figure: statistics.median(one[figure] for one in found) for figure in found[0]}
        for name, found in seen.items()
    }


def crowd(streams: int) -> tuple[int, int, float]:
    """Hold many streams open at once in this process; return complete requests, peak concurrency and peak MiB."""
    scenario = Scenario(streams=streams, rate_tps=4, tokens=32)
    with scripted_server(scenario) as port:
        backlog = Backlog(target(port))
        queue = RequestQueue(
            (
                PlannedRequest(index=index, prompt=PROMPT, output_len=scenario.tokens, arrival_s=None)
                for index in range(streams)
            ),
            lambda one: encoded(one, port),
            ready=streams,
        )
        client = Client(look_up("127.0.0.1", port, tls=False))
        limits = Limits(
            slots=streams, duration_s=None, request_timeout_s=120, deadline_ns=time.perf_counter_ns() + 2 * 10**11
        )
        callbacks = Callbacks(over=backlog.take, idle=backlog.read_one, progress=lambda: None, server_died=lambda: None)
        with contextlib.closing(client), quiet_collector():
            client.open(streams)
            run = client.run(queue, limits, callbacks)
    complete = sum(trace.output_tokens == scenario.tokens for trace in backlog.traces())
    return complete, run.peak_concurrency, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Run every scenario and return 0 where the plugin's client is within every target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each client; medians are shown (default: 3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long the streams are (default: 3)")
    options = parser.parse_args()
    met = True
    for streams, rate_tps, staggered in ((8, 100.0, False), (128, 30.0, False), (8, 100.0, True)):
        tokens = int(options.seconds * rate_tps)
        scenario = Scenario(streams=streams, rate_tps=rate_tps, tokens=tokens, staggered=staggered)
        table = compare(scenario, options.rounds)
        print(f"\n{streams} streams of {rate_tps:g} tok/s, {'spread evenly' if staggered else 'in step'}; lag in ms")
        print(f"{'':14}" + "".join(f"{name:>12}" for name in table["serving"]))
        for name, row in table.items():
            print(f"{name:14}" + "".join(f"{value:12.3f}" for value in row.values()))
        ours = table["serving"]
        met &= max(ours["ttft p99"], ours["itl p99"]) <= TARGETS[streams] and ours["lost"] == 0
        met &= staggered or ours["µs/token"] <= TARGET_CPU_US
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        complete, peak, peak_mib = pool.apply(crowd, (TARGET_STREAMS,))
    print(
        f"\n{TARGET_STREAMS} concurrent streams: {complete} complete, {peak} open at once, {peak_mib:.0f} MiB at most"
    )
    met &= complete == peak == TARGET_STREAMS and peak_mib <= TARGET_MIB
    limits = ", ".join(f"p99 {lag_ms:g} ms with {streams} streams" for streams, lag_ms in TARGETS.items())
    limits += f", {TARGET_CPU_US:g} µs/token in step, {TARGET_MIB} MiB"
    print(f"\ntargets ({limits}): {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
