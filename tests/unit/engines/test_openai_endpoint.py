"""A server that runs already: where it is, when it is ready, and a key that is nowhere to be seen."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from pytest_thor.cell import Cell, Setting
from pytest_thor.engines.openai_endpoint import OpenAiEndpoint
from pytest_thor.engines.openai_settings import OpenAiSettings
from pytest_thor.engines.serving_engine import ModelFacts
from pytest_thor.errors import EngineMissing
from pytest_thor.measurement import Launch
from pytest_thor.serving.load import TokenIds
from tests.fakes.stub_server import Stub

if TYPE_CHECKING:
    from tests.unit.engines.conftest import MakeServingCell

KEY = "sk-very-secret-0123456789"
NOWHERE = Path("/nowhere")
ADDRESS: dict[str, Setting] = {"url": "http://127.0.0.1"}


@contextmanager
def answering(folder: Path, **script: Any) -> Iterator[str]:
    """A stub that runs in this process; its address."""
    (folder / "stub.json").write_text(json.dumps(script))
    with Stub(str(folder / "stub"), []).server(0) as served:
        threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield f"http://127.0.0.1:{served.server_port}"
        finally:
            served.shutdown()


Stub.dies = False


def measure(*cells: Cell) -> list[Launch]:
    return [launch for _, launch in OpenAiEndpoint().launch(cells, NOWHERE, lambda _: None)]


def test_a_running_server_is_measured_without_its_load_time_and_memory(
    tmp_path: Path, serving_cell: MakeServingCell
) -> None:
    with answering(tmp_path) as url:
        high, low = measure(*(serving_cell(name, engine="openai", settings={"url": url}) for name in ("high", "low")))
    for launch in (high, low):
        assert launch.failure is None
        assert launch.doubts == ()
        assert len(launch.samples["ttft_ms"]) == 3
        assert not {"load_s", "peak_memory_bytes"} & launch.samples.keys()
        assert launch.engine.path == url
        assert launch.evidence["server"]["model"] == "stub"
        assert launch.evidence["server"]["owned_by"] == "nobody"


def test_the_key_opens_the_server_and_is_in_nothing_that_comes_out(
    tmp_path: Path, serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with answering(tmp_path, key=KEY) as url:
        cell = serving_cell(engine="openai", settings={"url": f"{url}/v1", "api_key_env": "MY_KEY"})
        [launch] = measure(cell)
        assert launch.failure is None
        assert KEY not in json.dumps(asdict(launch)) + repr(launch)


@pytest.mark.parametrize("health", ["/v1/models", "/health"])
def test_a_wrong_key_that_the_server_repeats_is_not_repeated_here(
    health: str, tmp_path: Path, serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with answering(tmp_path, key="another") as url:
        settings: dict[str, Setting] = {"url": url, "api_key_env": "MY_KEY", "health": health}
        [launch] = measure(serving_cell(engine="openai", settings=settings))
    assert "wants a key" in str(launch.failure)
    assert "it refuses the key in MY_KEY" in str(launch.failure)
    assert "***" in str(launch.failure)
    assert KEY not in json.dumps(asdict(launch))


def test_a_key_that_is_not_set_or_no_key_is_named_by_its_variable(
    serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = serving_cell(engine="openai", settings={"url": "http://127.0.0.1:9", "api_key_env": "MY_KEY"})
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(EngineMissing, match=r"variable MY_KEY \(api_key_env of the backend stub\) is not set"):
        measure(cell)
    monkeypatch.setenv("MY_KEY", "two\nlines")
    with pytest.raises(EngineMissing, match="what MY_KEY holds is no key") as raised:
        measure(cell)
    assert "two" not in str(raised.value)


def test_a_server_that_does_not_run_fails_after_a_short_while(serving_cell: MakeServingCell) -> None:
    settings: dict[str, Setting] = {"url": "http://127.0.0.1:9/llm", "ready_timeout_s": 0.3}
    [launch] = measure(serving_cell(engine="openai", settings=settings))
    assert "http://127.0.0.1:9/llm was not ready after 0.3 s" in str(launch.failure)
    assert "Connection refused" in str(launch.failure)


def test_a_model_must_be_named_where_several_or_none_are_listed(
    tmp_path: Path, serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(tmp_path) as url:
        for names, words in (
            (["a", "b"], "has several models: a, b; say which"),
            ([], "lists no models at /v1/models"),
        ):
            page = {"data": [{"id": name} for name in names]}
            monkeypatch.setattr(Stub, "page", lambda *_, page=page: (200, page))
            cell = serving_cell(engine="openai", settings={"url": url})
            [launch] = measure(cell)
            assert words in str(launch.failure)


def test_the_ids_of_prompts_come_from_the_setting_the_artifact_or_the_common_ground(
    serving_cell: MakeServingCell, tmp_path: Path
) -> None:
    engine = OpenAiEndpoint(None, lambda _: ModelFacts(token_ids=TokenIds(size=77)))
    plain, told = (serving_cell(engine="openai", settings=ADDRESS | more) for more in ({}, {"vocabulary_size": 99}))
    assert engine._facts([plain], tmp_path).token_ids.size == 77
    assert engine._facts([told], tmp_path).token_ids.size == 99
    common = engine._facts([plain], NOWHERE).token_ids.usable
    assert (common[0], common[-1]) == (1_000, 29_999)


def test_no_vocabulary_is_read_from_a_folder_that_happens_to_be_where_pytest_runs(
    serving_cell: MakeServingCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Qwen" / "Qwen3-8B").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    engine = OpenAiEndpoint(None, lambda _: ModelFacts(token_ids=TokenIds(size=77)))
    cell = serving_cell(engine="openai", settings=ADDRESS)
    assert engine._facts([cell], Path("Qwen/Qwen3-8B")).token_ids.size == 30_000


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000, "", False)),
        ("http://127.0.0.1:8000/v1/", ("127.0.0.1", 8000, "", False)),
        ("https://example.org/llm/v1", ("example.org", 443, "/llm", True)),
        ("http://[::1]:8000", ("::1", 8000, "", False)),
    ],
)
def test_an_address_is_taken_apart(url: str, where: tuple[object, ...]) -> None:
    place = OpenAiSettings(url=url).place({})
    assert (place.host, place.port, place.prefix, place.tls) == where


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("127.0.0.1:8000", "is no address"),
        ("ftp://example.org", "is no address"),
        (" http://example.org", "is no address"),
        ("http://example.org/a b", "is no address"),
        ("http://example.org/\r\nX-Header: 1", "is no address"),
        ("http://example.org/\u20ac", "is no address"),
        ("http://ex\u00e4mple.org", "is no address"),
        ("http://", "is no address"),
        ("http://name:word@example.org", "no name and password in an address"),
        ("http://example.org/v1?key=x", "an address ends with its path"),
        ("http://example.org:99999", "its port is no number up to 65535"),
    ],
)
def test_what_is_no_address_is_refused(url: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        OpenAiSettings(url=url)


def test_a_program_cannot_be_chosen_for_it() -> None:
    with pytest.raises(EngineMissing, match="this engine has no program"):
        OpenAiEndpoint(Path("/bin/true")).identify()


def test_a_place_does_not_show_its_key() -> None:
    assert KEY not in repr(OpenAiSettings(url="http://127.0.0.1").place({"Authorization": f"Bearer {KEY}"}))
