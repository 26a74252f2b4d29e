"""A client with the face of ``vllm.benchmarks.serve``: it sends one request after another and says what it saw.

``STUB_VLLM`` says how it behaves: ``sound`` (the default), ``breaks`` (an exception), ``hangs``, ``old`` (without an
option that is needed), ``silent`` (returns nothing), ``odd`` (a result of another shape). What it was given is a line
of JSON in the file that ``STUB_VLLM_NOTES`` names.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BEHAVIOUR = os.environ.get("STUB_VLLM", "sound")
OPTIONS = (
    *("model", "backend", "base_url", "endpoint", "dataset_name", "num_prompts", "seed", "request_rate", "burstiness"),
    *("max_concurrency", "ignore_eos", "extra_body", "save_detailed", "disable_tqdm", "skip_tokenizer_init"),
    *("tokenizer", "header", "num_warmups"),
)


@dataclass
class SampleRequest:
    """A request of a data set."""

    prompt: Any
    prompt_len: int
    expected_output_len: int


@dataclass
class Output:
    """What came of one."""

    start_time: float = 0.0
    ttft: float = 0.0
    itl: list[float] = field(default_factory=list)
    output_tokens: int | None = 0
    prompt_len: int = 0
    error: str = ""


def add_cli_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    for name in OPTIONS:
        if BEHAVIOUR != "old" or name != "extra_body":
            parser.add_argument(f"--{name.replace('_', '-')}")


def get_samples(_args: argparse.Namespace, _tokenizer: object) -> list[SampleRequest]:
    """Never used: the script that runs this puts its own in its place."""
    raise AssertionError


def get_request(samples: list[SampleRequest]) -> Iterator[SampleRequest]:
    """Yield each request when it may go: as soon as the one before is done."""
    yield from samples


def calculate_metrics(*, outputs: list[Output], dur_s: float) -> list[int]:
    """Return the tokens of each answer as vLLM's client counts them without a tokenizer."""
    assert dur_s > 0
    return [0 if one.error else one.output_tokens or 1 for one in outputs]


def main(args: argparse.Namespace) -> Any:
    """Send the load."""
    variables = {name: os.environ.get(name) for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "THOR_HEADERS")}
    if "STUB_VLLM_NOTES" in os.environ:
        notes = {**vars(args), "environment": variables, "argv": sys.orig_argv}
        Path(os.environ["STUB_VLLM_NOTES"]).write_text(json.dumps(notes))
    if BEHAVIOUR == "breaks":
        raise RuntimeError(f"no luck with {args.header}")
    if BEHAVIOUR == "silent":
        return None
    samples = get_samples(args, None)
    if BEHAVIOUR == "hangs":
        time.sleep(600)
    began_s = time.perf_counter()
    outputs = [send(one, args) for one in get_request(samples)]
    duration_s = time.perf_counter() - began_s
    lens = calculate_metrics(outputs=outputs, dur_s=duration_s)
    return {
        "duration": duration_s,
        "completed": sum(not one.error for one in outputs),
        "failed": sum(bool(one.error) for one in outputs),
        "total_input_tokens": sum(one.prompt_len for one in outputs),
        "total_output_tokens": sum(lens),
        "output_throughput": sum(lens) / duration_s,
        "input_lens": [one.prompt_len for one in outputs],
        "output_lens": lens[1:] if BEHAVIOUR == "odd" else lens,
        "ttfts": [one.ttft for one in outputs],
        "itls": [one.itl for one in outputs],
        "start_times": [one.start_time for one in outputs],
        "errors": [one.error for one in outputs],
    }


def send(one: SampleRequest, args: argparse.Namespace) -> Output:
    """Send a request and read its answer line by line."""
    place = urlsplit(args.base_url)
    assert place.hostname is not None
    body = {"prompt": one.prompt, "max_tokens": one.expected_output_len, **args.extra_body}
    headers = dict(header.split("=", 1) for header in args.header or ())
    output = Output(start_time=time.perf_counter(), prompt_len=one.prompt_len)
    last_s = output.start_time
    try:
        connection = http.client.HTTPConnection(place.hostname, place.port or 80)
        connection.request("POST", place.path + args.endpoint, json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            output.error = response.reason
        for line in response:
            if output.error or not line.startswith(b"data: {"):
                continue
            message, now_s = json.loads(line[6:]), time.perf_counter()
            if message["choices"]:
                if output.ttft:
                    output.itl.append(now_s - last_s)
                output.ttft = output.ttft or now_s - output.start_time
                last_s = now_s
            else:
                output.output_tokens = message["usage"]["completion_tokens"]
    except (OSError, http.client.HTTPException) as error:
        output.error = f"Traceback (most recent call last):\n  somewhere\n{type(error).__name__}: {error}\n"
    return output
