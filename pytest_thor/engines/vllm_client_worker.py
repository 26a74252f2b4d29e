"""Sends a load with the client of ``vllm bench serve`` and writes down what that client says of it.

A script of its own, run by the Python of an environment that has vLLM: ``python vllm_client_worker.py FOLDER``.
``FOLDER/job.json`` holds ``arguments`` (the client's options by name, all of which it must know), ``if_known`` (those
that it may lack), ``requests`` (``prompt``: token ids or text, ``input_len``, ``output_len``), and perhaps ``keep``
(what else of its result is wanted). The client's own data sets are put aside for these requests; all else (pace,
sending, receiving, stamping, counting) is vLLM's. ``FOLDER/sending`` appears when it is about to begin,
``FOLDER/result.json`` when it is done: the client's result (of an error, its last line), with ``usage_tokens`` (the
output tokens of each request that it read from ``usage``; 0 where it read none) and ``cpu_s`` (its processor time while
it sent). Headers come as JSON in the variable ``THOR_HEADERS``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

_HERE = Path(__file__).resolve().parent  # where a file is called vllm.py
_KEPT = (
    *("duration", "completed", "failed", "total_input_tokens", "total_output_tokens", "output_throughput"),
    *("input_lens", "output_lens", "ttfts", "itls", "start_times", "queue_times", "errors"),
)


def main(folder: Path) -> int:
    """Send the load; return an exit status."""
    sys.path = [entry for entry in sys.path if Path(entry).resolve() != _HERE]
    job = json.loads((folder / "job.json").read_text())
    headers = json.loads(os.environ.pop("THOR_HEADERS", "{}"))

    serve = importlib.import_module("vllm.benchmarks.serve")
    usage_tokens: list[int] = []
    cpu_s = [0.0, 0.0]

    def get_samples(*_: object) -> list[object]:
        samples = [
            serve.SampleRequest(
                prompt=one["prompt"], prompt_len=one["input_len"], expected_output_len=one["output_len"]
            )
            for one in job["requests"]
        ]
        (folder / "sending").touch()
        return samples

    def get_request(*args: object, **named: object) -> object:
        cpu_s[0] = time.process_time()
        return pace(*args, **named)

    def calculate_metrics(*, outputs: list[Any], **others: object) -> object:
        cpu_s[1] = time.process_time()
        usage_tokens.extend(output.output_tokens or 0 for output in outputs)
        return calculate(outputs=outputs, **others)

    pace, calculate = serve.get_request, serve.calculate_metrics
    vars(serve).update(get_samples=get_samples, get_request=get_request, calculate_metrics=calculate_metrics)
    result = serve.main(_arguments(serve, job, headers))
    if not isinstance(result, dict) or any(name not in result for name in _KEPT if name != "queue_times"):
        print("error: this vLLM is too old: its client does not return what single requests came to", file=sys.stderr)
        return 1
    keep: list[str] = job.get("keep", [])
    told: dict[str, Any] = {name: result.get(name) for name in (*_KEPT, *keep)}
    told["errors"] = [error.strip().rpartition("\n")[2] for error in told["errors"]]  # of a traceback, what it ends in
    told |= {"usage_tokens": usage_tokens, "cpu_s": cpu_s[1] - cpu_s[0]}
    written = folder / "result.part"
    written.write_text(json.dumps(told))
    written.rename(folder / "result.json")
    return 0


def _arguments(serve: ModuleType, job: dict[str, Any], headers: dict[str, str]) -> argparse.Namespace:
    """Return the client's own defaults with the job's options in their place."""
    parser = argparse.ArgumentParser()
    serve.add_cli_args(parser)
    arguments = parser.parse_args(["--model", job["arguments"]["model"]])
    for name, value in job["arguments"].items():
        if not hasattr(arguments, name):
            raise SystemExit(f"error: this vLLM is too old: its client has no option --{name.replace('_', '-')}")
        setattr(arguments, name, value)
    for name, value in job["if_known"].items():
        if hasattr(arguments, name):
            setattr(arguments, name, value)
    if arguments.request_rate is None:
        arguments.request_rate = float("inf")
    arguments.header = [f"{name}={value}" for name, value in headers.items()] or None
    return arguments


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
