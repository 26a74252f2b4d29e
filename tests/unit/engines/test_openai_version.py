"""Which version a running server is: asked where each engine tells it, never guessed, never for long."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from pytest_thor.engines import ENGINES
from pytest_thor.engines.http_get import Place
from pytest_thor.engines.openai_endpoint import OpenAiEndpoint
from pytest_thor.engines.openai_version import version_of
from pytest_thor.engines.serving_engine import AttachedEngine
from pytest_thor.errors import EngineMissing
from tests.fakes.scripted_server import Reply, plain, serving

if TYPE_CHECKING:
    from tests.unit.engines.conftest import MakeServingCell

MISSING = plain("404 Not Found", b'{"version": "of the error page"}')


def told(content: object) -> Reply:
    return plain("200 OK", json.dumps(content).encode())


def place(port: int, key: str | None = None) -> Place:
    return Place(host="127.0.0.1", port=port, headers={"Authorization": f"Bearer {key}"} if key else {})


@pytest.mark.parametrize(
    ("route", "number", "content"),
    [
        ("/version", 1, {"version": "0.32.0"}),
        ("/props", 2, {"build_info": "0.32.0", "version": 7}),
        ("/server_info", 3, {"version": " 0.32.0\n"}),
        ("/get_server_info", 4, {"version": "0.32.0"}),
        ("/api/version", 5, {"version": "0.32.0"}),
        ("/info", 6, {"version": "0.32.0"}),
    ],
)
def test_each_engine_is_asked_where_it_tells(route: str, number: int, content: object) -> None:
    with serving(*[MISSING] * (number - 1), told(content), MISSING) as server:
        assert version_of(place(server.port)) == "0.32.0"
        assert server.requests[-1].startswith(f"GET {route} ".encode())
        assert len(server.requests) == number


@pytest.mark.parametrize(
    "content", [{}, [], "0.32.0", None, {"version": 5}, {"version": ""}, {"version": "a\x00b"}, {"version": "x" * 101}]
)
def test_what_is_no_version_is_not_known(content: object) -> None:
    with serving(told(content)) as server:
        assert version_of(place(server.port)) is None


def test_an_answer_that_is_no_json_is_not_known() -> None:
    with serving(plain("200 OK", b"<html>0.32.0</html>", content_type="text/html")) as server:
        assert version_of(place(server.port)) is None


def test_a_version_that_repeats_the_key_is_not_taken() -> None:
    with serving(told({"version": "sk-secret"})) as server:
        assert version_of(place(server.port, key="sk-secret")) is None


def test_a_server_that_takes_the_connection_and_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        assert version_of(place(silent.getsockname()[1]), timeout_s=0.1) is None
        assert time.monotonic() - begin < 30


def test_the_build_of_a_cell_is_that_of_its_address(serving_cell: MakeServingCell) -> None:
    with serving(told({"version": "0.32.0"})) as server:
        url = f"http://127.0.0.1:{server.port}/v1"
        build = OpenAiEndpoint().identify_for(serving_cell(engine="openai", settings={"url": url}))
    assert (build.name, build.path, build.version) == ("openai", url, "0.32.0")


def test_a_server_that_does_not_run_yet_has_no_known_version(serving_cell: MakeServingCell) -> None:
    cell = serving_cell(engine="openai", settings={"url": "http://127.0.0.1:9"})
    assert OpenAiEndpoint().identify_for(cell).version is None


def test_without_its_key_it_is_not_asked(serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    cell = serving_cell(engine="openai", settings={"url": "http://127.0.0.1:9", "api_key_env": "MY_KEY"})
    with pytest.raises(EngineMissing, match="variable MY_KEY"):
        OpenAiEndpoint().identify_for(cell)


def test_only_an_engine_that_attaches_asks_the_cells_address() -> None:
    assert [name for name, engine in ENGINES.items() if isinstance(engine(), AttachedEngine)] == ["openai"]
