"""What the environment keeps secret is in nothing that a run leaves, whatever an engine prints."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_thor.report.outputs import FORMATS
from tests.fakes.stub_server import Stub
from tests.plugin.project import Project

SECRET = "correct-horse-battery-staple"
SAYS = {
    "its log": 'echo "error: 401 with $MY_TOKEN" >&2; exit 3',
    "its output": 'echo "error: 401 with $MY_TOKEN"; exit 3',
    "its last step": 'echo "llama-bench: benchmark 1/1: 401 with $MY_TOKEN" >&2; exit 3',
    "the end of a long line": 'printf "%982s 401 with %s" "" "$MY_TOKEN"; exit 3',
    "its help": 'echo "error: 401 with $MY_TOKEN"; exit 3',
    "a proxy": 'echo "error: 401 with $HTTPS_PROXY" >&2; exit 3',
}


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", SECRET)
    monkeypatch.setenv("HTTPS_PROXY", f"http://somebody:{SECRET}@127.0.0.1:9")


def left_behind(project: Project, result: pytest.RunResult) -> dict[str, bytes]:
    """Return everything that a run has written and shown, by name."""
    kept = {
        str(path.relative_to(project.root)): path.read_bytes()
        for path in project.root.rglob("*")
        if path.is_file() and path.parent != project.engine.parent and not path.is_relative_to(project.root / "models")
    }
    return {**kept, "shown": (result.stdout.str() + result.stderr.str()).encode()}


def with_the_secret(kept: dict[str, bytes]) -> list[str]:
    """Return where the secret stands, or the greater part of it."""
    return [name for name, content in kept.items() if SECRET[:14].encode() in content]


@pytest.mark.parametrize("place", SAYS)
def test_an_engine_that_prints_a_secret_leaves_it_nowhere(project: Project, place: str) -> None:
    project.engine.rename(project.engine.with_name("llama-bench-real"))
    asked = SAYS[place] if place == "its help" else 'exec "$0-real" "$@"'
    project.engine.write_text(f'#!/bin/sh\ncase "$*" in *--help*|*--version*) {asked};; esac\n{SAYS[place]}\n')
    project.engine.chmod(0o755)
    exports = [f"--thor-export={name}" for name in FORMATS]

    result = project.run("-vv", "-l", "--full-trace", "--thor-strict", "--junitxml=junit.xml", *exports)

    kept = left_behind(project, result)
    assert with_the_secret(kept) == []
    assert b"401 with" in kept["shown"]
    assert b"***" in kept["shown"]
    assert {"junit.xml", "thor-report/report.json", "thor-report/samples.csv"} <= kept.keys()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that wants the secret as its key."""
    (tmp_path / "stub.json").write_text(json.dumps({"key": SECRET}), encoding="utf-8")
    monkeypatch.setattr(Stub, "dies", False, raising=False)
    with Stub(str(tmp_path / "stub"), []).server(0) as served:
        threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def attached(project: Project, server: str) -> list[str]:
    project.matrix.write_text(
        "name: small\nmodels: {m: {hf: a/b, quants: [BF16]}}\n"
        f"backends: {{b: {{engine: openai, settings: {{url: '{server}', api_key_env: MY_TOKEN}}}}}}\n"
        "workloads: {w: {kind: serving, input_len: 8, output_len: 8, num_prompts: 3, max_concurrency: 1}}\n",
        encoding="utf-8",
    )
    exports = [f"--thor-export={name}" for name in FORMATS]
    return ["--junitxml=junit.xml", "--thor-update-baseline=missing", *exports]


def test_the_key_of_a_server_is_in_nothing_that_a_run_leaves(project: Project, server: str) -> None:
    arguments = attached(project, server)

    result = project.run("-vv", "-l", *arguments)

    kept = left_behind(project, result)
    assert with_the_secret(kept) == []
    assert [len(launch["samples"]["ttft_ms"]) for launch in project.report["cells"][0]["launches"]] == [3, 3]
    for form in ("text", "json", "github"):
        assert SECRET not in project.run(f"--thor-list={form}").stdout.str()


@pytest.mark.parametrize(
    "place",
    [
        "pytest_thor.engines.openai_settings.Place",
        "pytest_thor.engines.openai_endpoint._listed",
    ],
)
def test_a_bug_beside_an_open_server_shows_no_key_with_its_local_variables(
    project: Project, server: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def broken(*_arguments: object, **_settings: object) -> object:
        raise KeyError("a bug of ours")

    arguments = attached(project, server)
    monkeypatch.setattr(place, broken)

    result = project.run("-vv", "-l", "--full-trace", *arguments)

    assert "a bug of ours" in result.stdout.str()
    assert with_the_secret(left_behind(project, result)) == []
