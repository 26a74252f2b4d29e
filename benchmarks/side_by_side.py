"""Our client beside vLLM's: the same load on the same llama-server, one after the other, in turns.

A real llama-server serves a model of random weights. In every round both clients send the same prompts in the same
order of lengths, each in a process of its own, and the one that goes first takes turns. Shown is the median over the
rounds, and of the ratios ours / vLLM's of each round the median and the interval between two of them that holds the
true median with at least 95 %, whatever the noise is distributed like (so six rounds are the fewest).

A shared machine is twice as fast in one minute as in the next. So each median is also shown as a multiple of what the
server's own log says of the very same requests, which takes that out: the target is for these.

vLLM's figures are read as the plugin reads them (``client: vllm``); its token count is its own, made with a tokenizer
as ``vllm bench serve`` makes it.

    THOR_VLLM=.venv-vllm/bin/python python benchmarks/side_by_side.py [--rounds 8] [--model qwen3-0.6b] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.artifacts.synthetic_hf import make_synthetic_hf
from pytest_thor.artifacts.vocabulary import ordinary_ids
from pytest_thor.cell import Workload
from pytest_thor.engines.background import Background, background
from pytest_thor.engines.http_get import Place, get
from pytest_thor.engines.locate import find
from pytest_thor.engines.ports import free_port
from pytest_thor.engines.vllm_client import VllmClient
from pytest_thor.engines.vllm_install import find_interpreter
from pytest_thor.errors import EngineMissing
from pytest_thor.serving.load import TokenIds, plan
from pytest_thor.serving.target import Target

SENDER = Path(__file__).with_name("send_load.py")
TARGET = 0.03
"""How far the median ratio may be from 1."""
METRICS = {"ttft_ms": "TTFT", "tpot_ms": "TPOT"}
LOG_BYTES = 65536
PROMPT_TIME = re.compile(r"prompt eval time = +([\d.]+) ms")
TOKEN_TIME = re.compile(r"(?<!prompt) +eval time = +([\d.]+) ms / +(\d+) tokens")
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What every run has in common."""

    parameters: dict[str, int]
    token_ids: TokenIds
    tokenizer: Path
    client: VllmClient

    @property
    def workload(self) -> Workload:
        """The load."""
        return Workload(name="load", kind="serving", parameters=tuple(sorted(self.parameters.items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run: medians in ms, tokens as the client counts them, s until its first request, the server's own medians."""

    medians: dict[str, float]
    tokens: int
    start_up_s: float
    server: dict[str, float] = field(default_factory=dict)

    def over_server(self, metric: str) -> float:
        """Return a median as a multiple of what the server itself took."""
        return self.medians[metric] / self.server[metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A llama-server that is ready."""

    port: int
    process: Background

    def own_medians(self, requests: int) -> dict[str, float]:
        """Return what its log says of so many last requests: time in ms to take the prompt in, and for each token."""
        log = self.process.printed(LOG_BYTES)
        prompt = [float(found[1]) for found in PROMPT_TIME.finditer(log)][-requests:]
        token = [float(found[1]) / (int(found[2]) - 1) for found in TOKEN_TIME.finditer(log)][-requests:]
        sound(None if len(prompt) == len(token) == requests else "its log does not tell its times")
        return {"ttft_ms": statistics.median(prompt), "tpot_ms": statistics.median(token)}


@contextmanager
def llama_server(model: Path, *, threads: int, slots: int, context: int) -> Iterator[Server]:
    """Run a llama-server with as many slots as there are requests at a time."""
    program = find("llama-server", "llama-server", None)
    port = free_port("127.0.0.1")
    place = Place(host="127.0.0.1", port=port)
    settings = ("-t", str(threads), "-np", str(slots), "-c", str(context), "--no-ui")
    command = (str(program), "-m", str(model), "--host", place.host, "--port", str(port), *settings)
    with background(command) as process:
        while not get(place, "/health").ok:
            sound(process.printed() if process.wait(0.1) else None)
        yield Server(port=port, process=process)


def target(port: int) -> Target:
    """Return the server as a target."""
    return Target(host="127.0.0.1", port=port, model="synthetic", dialect="llama-server")


def ours(setup: Setup, seed: int, port: int) -> Outcome:
    """Send the load with our client, in a Python that is started for it as vLLM's is."""
    usable = [setup.token_ids.size, sorted(setup.token_ids.forbidden)]
    job = {"seed": seed, "port": port, "parameters": setup.parameters, "token_ids": usable}
    began_s = time.perf_counter()
    done = subprocess.run([sys.executable, str(SENDER), json.dumps(job)], check=True, stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout)
    sound(told["failure"])
    return Outcome(medians=told["medians"], tokens=told["tokens"], start_up_s=told["first_sent_s"] - began_s)


def theirs(setup: Setup, seed: int, port: int) -> Outcome:
    """Send the load with vLLM's client."""
    load = plan(setup.workload, token_ids=setup.token_ids, seed=seed)
    result = setup.client.run_load(
        load,
        setup.workload,
        target(port),
        on_progress=lambda *_: None,
        server_died=lambda: None,
        timeout_s=600,
    )
    sound(result.failure or "; ".join(result.doubts))
    told = result.evidence["vllm_client"]
    found = {name: statistics.median(result.samples[name]) for name in METRICS}
    return Outcome(medians=found, tokens=told["as_it_counts"]["total_output_tokens"], start_up_s=told["start_up_s"])


def sound(failure: str | None) -> None:
    """End the comparison where a load did not go as it should.

    Raises:
        SystemExit: always with what is wrong.
    """
    if failure:
        raise SystemExit(f"a load went wrong: {failure}")


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return two of the values between which the true median lies with 95 %, by the binomial distribution alone."""
    ordered = sorted(values)
    left_out = 0
    while (
        1 - 2 * sum(math.comb(len(ordered), below) for below in range(left_out + 2)) / 2 ** len(ordered) >= CONFIDENCE
    ):
        left_out += 1
    return ordered[left_out], ordered[-1 - left_out]


def table(setup: Setup, rounds: Sequence[tuple[Outcome, Outcome]]) -> tuple[str, bool]:
    """Return a Markdown table, and whether the target is met."""
    lines = ["| medians | ours | vLLM's | ours / vLLM's | 95 % interval |", "|---|---|---|---|---|"]
    met = True

    def row(title: str, values: Sequence[tuple[float, float]], digits: int) -> float:
        ratios = [our / their for our, their in values]
        low, high = interval(ratios)
        ratio = statistics.median(ratios)
        our, their = (statistics.median(one[side] for one in values) for side in (0, 1))
        lines.append(f"| {title} | {our:.{digits}f} | {their:.{digits}f} | {ratio:.4f} | {low:.4f} to {high:.4f} |")
        return ratio

    for name, title in METRICS.items():
        row(f"{title} (ms)", [(our.medians[name], their.medians[name]) for our, their in rounds], 2)
        relative = [(our.over_server(name), their.over_server(name)) for our, their in rounds]
        met &= abs(row(f"{title} / the server's own", relative, 4) - 1) <= TARGET
    start_ups = [statistics.median(one[side].start_up_s for one in rounds) for side in (0, 1)]
    lines.append(f"| asked to first request (s) | {start_ups[0]:.2f} | {start_ups[1]:.2f} | | |")
    asked = setup.parameters["num_prompts"] * setup.parameters["output_len"]
    counted = [sorted({one[side].tokens for one in rounds}) for side in (0, 1)]
    shown = ["–".join(map(str, [of[0], of[-1]] if len(of) > 1 else of)) for of in counted]
    lines.append(f"| generated tokens, of {asked} asked | {shown[0]} | {shown[1]} | | |")
    return "\n".join(lines), met and counted[0] == [asked]


def main() -> int:
    """Run every round; return 0 where the target is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="runs of each client, 6 or more (default: 8)")
    parser.add_argument("--model", default="qwen3-0.6b", help="the shape of the model (default: qwen3-0.6b)")
    parser.add_argument("--quant", default="Q4_K_M", help="its weights (default: Q4_K_M)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the server (default: 1)")
    cache = Path.home() / ".cache" / "pytest-thor" / "synthetic"
    parser.add_argument("--cache", type=Path, default=cache, help="where the model is made (default: %(default)s)")
    for name, default in (("input_len", 64), ("output_len", 24), ("num_prompts", 6), ("max_concurrency", 1)):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, help=f"(default: {default})")
    options = parser.parse_args()
    if options.rounds < 6:
        parser.error("fewer than 6 rounds have no interval")
    names = ("input_len", "output_len", "num_prompts", "max_concurrency")
    try:
        build = find_interpreter(None)
    except EngineMissing as missing:
        raise SystemExit(str(missing)) from None
    model = make_synthetic(options.model, options.quant, cache=options.cache)
    size, forbidden = ordinary_ids(model)
    tokenizer = make_synthetic_hf(options.model, cache=options.cache)
    setup = Setup(
        parameters={name: getattr(options, name) for name in names},
        token_ids=TokenIds(size=size, forbidden=forbidden),
        tokenizer=tokenizer,
        client=VllmClient(build=build, tokenizer=tokenizer),
    )
    slots = options.max_concurrency
    context = slots * (options.input_len + options.output_len + 256)
    rounds = []
    with llama_server(model, threads=options.threads, slots=slots, context=context) as server:
        for number in range(options.rounds):
            runs = [partial(ours, setup, number, server.port), partial(theirs, setup, number, server.port)]
            first = number % 2
            outcomes = {}
            for side in (first, 1 - first):
                outcome = runs[side]()
                outcomes[side] = replace(outcome, server=server.own_medians(options.num_prompts))
            rounds.append((outcomes[0], outcomes[1]))
            print(f"round {number + 1}/{options.rounds}: {rounds[-1]}", file=sys.stderr)
    printed, met = table(setup, rounds)
    load = ", ".join(f"{name} {value}" for name, value in setup.parameters.items())
    print(f"{options.model} {options.quant}, {options.threads} thread(s); {load}; {options.rounds} rounds\n\n{printed}")
    print(f"\ntarget (median ratios within {TARGET:.0%}, our tokens as asked): {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
