"""What the serving tests share: a load of so many requests, and running it against a scripted server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pytest

from pytest_thor.cell import Workload
from pytest_thor.serving.load import Load, PlannedRequest
from pytest_thor.serving.run import LoadResult, run_load
from pytest_thor.serving.target import Dialect, Target
from tests.fakes.scripted_server import Reply, ScriptedServer, serving


def make_workload(**parameters: Any) -> Workload:
    return Workload(name="load", kind="serving", parameters=tuple(sorted(parameters.items())))


def make_load(
    requests: int = 1,
    *,
    output_len: int = 4,
    prompt_len: int = 8,
    arrivals_s: tuple[float | None, ...] | None = None,
    **load: Any,
) -> Load:
    planned = tuple(
        PlannedRequest(
            index=index,
            prompt=tuple(range(100 * index, 100 * index + prompt_len)),
            output_len=output_len,
            arrival_s=arrivals_s[index] if arrivals_s else None,
        )
        for index in range(requests)
    )
    settings: dict[str, Any] = {
        "seed": 7,
        "requests": planned,
        "warmup": (),
        "max_concurrency": 1,
        "duration_s": None,
        "prefix_cache": False,
        "salt": "grain",
        "count": requests,
    }
    return Load(**{**settings, **load})


def make_target(port: int, dialect: Dialect = "openai", **more: Any) -> Target:
    return Target(host="127.0.0.1", port=port, model="tiny", dialect=dialect, **more)


class Answer(Protocol):
    def __call__(
        self,
        *script: Reply,
        load: Load | None = None,
        dialect: Dialect = "openai",
        died: Callable[[], str | None] = ...,
        **parameters: Any,
    ) -> tuple[LoadResult, ScriptedServer]: ...


def never_died() -> str | None:
    return None


@pytest.fixture
def answer() -> Answer:
    def run(
        *script: Reply,
        load: Load | None = None,
        dialect: Dialect = "openai",
        died: Callable[[], str | None] = never_died,
        request_timeout_s: float = 20.0,
        timeout_s: float = 30.0,
        on_progress: Callable[[str, float | None], None] = lambda _step, _rate: None,
        headers: dict[str, str] | None = None,
        path_prefix: str = "",
        **parameters: Any,
    ) -> tuple[LoadResult, ScriptedServer]:
        """Answer a load's requests with these replies, the last one again and again."""
        with serving(*script) as server:
            result = run_load(
                load or make_load(),
                make_workload(**parameters),
                make_target(server.port, dialect, headers=headers or {}, path_prefix=path_prefix),
                on_progress=on_progress,
                server_died=died,
                request_timeout_s=request_timeout_s,
                timeout_s=timeout_s,
            )
        return result, server

    return run
