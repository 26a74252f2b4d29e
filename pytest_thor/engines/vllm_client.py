"""Has a load sent by the client of ``vllm bench serve``, in a process of the environment that has it.

The requests are ours (token ids, fresh for every launch), and so are the warm-up requests, since that client warms up
with its first measured prompt. Pace, sending, receiving, stamping and counting are vLLM's; what it says of each request
is read under our definitions by ``serving/vllm_result.py``.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_thor.cell import Workload
from pytest_thor.engines.background import Background, background
from pytest_thor.engines.server import ended
from pytest_thor.measurement import EngineBuild
from pytest_thor.serving.asked import Asked
from pytest_thor.serving.exchange import Fault
from pytest_thor.serving.load import Load, PlannedRequest
from pytest_thor.serving.load_result import LoadResult, result_of
from pytest_thor.serving.request_bytes import chat_text, dialect_fields
from pytest_thor.serving.run import Tell, may_cache, warm_up
from pytest_thor.serving.target import Target
from pytest_thor.serving.vllm_result import (
    ClientResult,
    ServerCount,
    UnreadableResult,
    notes_of,
    read_result,
    traces_of,
)

WORKER = Path(__file__).with_name("vllm_client_worker.py")
_NAME = "vLLM's client"
_GRACE_S = 2.0
_LOOK_S = 0.5
_SEEDS = 1 << 32
"""numpy's seeds, which its arrivals are drawn with, lie below."""
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "wss_proxy")
_ENVIRONMENT: dict[str, str | None] = {
    **dict.fromkeys((*_PROXIES, *map(str.upper, _PROXIES))),  # aiohttp would ask them, for loopback too
    "NETRC": os.devnull,
    "OPENAI_API_KEY": None,  # it would be sent to whatever server this is
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmClient:
    """vLLM's client: ``build.path`` is the Python that has it.

    ``tokenizer`` is the folder of one, with which the client counts anew where it reads no ``usage``; that changes its
    own totals only.
    """

    build: EngineBuild
    tokenizer: Path | None = None

    def run_load(
        self,
        load: Load,
        workload: Workload,
        target: Target,
        *,
        on_progress: Tell,
        server_died: Callable[[], str | None],
        timeout_s: float,
        count_tokens: Callable[[], ServerCount | None] = lambda: None,
    ) -> LoadResult:
        """Send the warm-up requests, then have vLLM's client send the measured ones; as ``serving.run.run_load``.

        ``count_tokens`` reads the server's own counters, before and after.
        """
        deadline = time.monotonic() + timeout_s
        warmed = warm_up(load, workload, target, on_progress=on_progress, server_died=server_died, timeout_s=timeout_s)
        if warmed.result is not None:
            return warmed.result
        asked = Asked.of(workload)
        planned = tuple(load.requests)
        before = count_tokens()
        with tempfile.TemporaryDirectory(prefix="thor-vllm-client-") as name:
            folder = Path(name)
            job = client_job(load, asked, target, planned, self.tokenizer)
            (folder / "job.json").write_text(json.dumps(job))
            began_s = time.perf_counter()
            command = (self.build.path, str(WORKER), name)
            with background(command, environment=client_environment(target), grace_s=_GRACE_S) as process:
                stopped = _wait(
                    process, folder, deadline, server_died=server_died, on_progress=on_progress, requests=len(planned)
                )
                told = process.wait(0) and (folder / "result.json")
                failure = None if told and told.is_file() else ended(process, _NAME) if told else None
                log_tail = target.redacted(process.printed())
            evidence = self._evidence(job)
            if stopped is not None or failure is not None:
                said = failure if stopped is None else f"{stopped.cause}: {stopped.detail}"
                return LoadResult(
                    failure=said and target.redacted(said),
                    evidence={"seed": load.seed, "vllm_client": {**evidence, "log_tail": log_tail}},
                )
            try:
                result = read_result((folder / "result.json").read_bytes(), len(planned))
            except UnreadableResult as error:
                return LoadResult(failure=str(error), evidence={"vllm_client": {**evidence, "log_tail": log_tail}})
        counted = _difference(before, count_tokens())
        traces = traces_of(result, planned, asked, target, counted)
        sent_ns = [trace.sent_ns for trace in traces if trace.sent_ns is not None]
        found = result_of(
            load,
            asked,
            traces=traces,
            warmup=warmed.traces,
            started_ns=min(sent_ns),
            duration_s=result.duration,
            notes=notes_of(result, traces),
            stopped=None,
        )
        evidence |= _told(result, counted, start_up_s=min(result.start_times) - began_s)
        return LoadResult(
            samples=found.samples,
            doubts=found.doubts,
            failure=found.failure,
            window=found.window,
            evidence={**found.evidence, "vllm_client": evidence},
        )

    def _evidence(self, job: dict[str, Any]) -> dict[str, Any]:
        arguments = {name: value for name, value in job["arguments"].items() if name != "extra_body"}
        return {"version": self.build.version, "path": self.build.path, "arguments": arguments}


def client_job(
    load: Load, asked: Asked, target: Target, planned: Sequence[PlannedRequest], tokenizer: Path | None = None
) -> dict[str, Any]:
    """Return what the client's script is told (``vllm_client_worker.py`` says what that is)."""
    chat = asked.api == "chat"
    host = f"[{target.host}]" if ":" in target.host else target.host
    extra = dialect_fields(target.dialect, salt=load.salt, prefix_cache=may_cache(load, asked))
    arguments: dict[str, Any] = {
        "model": target.model,
        "backend": "openai-chat" if chat else "openai",
        "base_url": f"{'https' if target.tls else 'http'}://{host}:{target.port}{target.path_prefix.rstrip('/')}",
        "endpoint": f"/v1/{'chat/completions' if chat else 'completions'}",
        "dataset_name": "custom",
        "num_prompts": len(planned),
        "seed": load.seed % _SEEDS,
        "request_rate": asked.request_rate,
        "burstiness": asked.burstiness,
        "max_concurrency": asked.max_concurrency,
        "ignore_eos": True,
        "extra_body": {"temperature": 0, **extra},
        "save_detailed": True,
        "disable_tqdm": True,
        "skip_tokenizer_init": tokenizer is None,
        "tokenizer": None if tokenizer is None else str(tokenizer),
    }
    requests = [
        {
            "prompt": chat_text(one.prompt) if chat else one.prompt,
            "input_len": len(one.prompt),
            "output_len": one.output_len,
        }
        for one in planned
    ]
    return {
        "arguments": arguments,
        "if_known": {"num_warmups": 0, "ready_check_timeout_sec": 0},
        "requests": requests,
    }


def client_environment(target: Target) -> dict[str, str]:
    """Return the variables that the client's script is run with: no proxies, no key but the target's."""
    headers = dict(target.headers)
    if not target.keeps_connections:
        headers["Connection"] = "close"
    merged = {**os.environ, **_ENVIRONMENT, "THOR_HEADERS": json.dumps(headers)}
    return {name: value for name, value in merged.items() if value is not None}


def _wait(
    process: Background,
    folder: Path,
    deadline: float,
    *,
    server_died: Callable[[], str | None],
    on_progress: Tell,
    requests: int,
) -> Fault | None:
    """Wait for the client's end; return why the load must stop before, if it must."""
    on_progress(f"{_NAME} starts", None)
    sends = False
    while process.wait(min(_LOOK_S, max(deadline - time.monotonic(), 0))) is None:
        if time.monotonic() >= deadline:
            return Fault(cause="run-timeout", detail=f"{_NAME} took longer than it may")
        death = server_died()
        if death is not None:
            return Fault(cause="server-died", detail=death)
        if not sends and (folder / "sending").exists():
            sends = True
            on_progress(f"{_NAME} sends {requests} requests", None)
    return None


def _difference(before: ServerCount | None, after: ServerCount | None) -> ServerCount | None:
    if before is None or after is None:
        return None
    return ServerCount(prompt=after.prompt - before.prompt, output=after.output - before.output)


def _told(result: ClientResult, counted: ServerCount | None, *, start_up_s: float) -> dict[str, Any]:
    return {
        "start_up_s": start_up_s,
        "as_it_counts": result.as_it_counts(),
        "usage_read": sum(tokens > 0 for tokens in result.usage_tokens),
        "server_counted": None if counted is None else {"prompt": counted.prompt, "output": counted.output},
    }
