"""vLLM on a stub: how it is found, what it is told, and what its own counter of cached tokens is worth."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_thor.cell import Setting
from pytest_thor.engines.http_get import Place
from pytest_thor.engines.vllm import Vllm, prefix_hits
from pytest_thor.engines.vllm_install import find_vllm
from pytest_thor.errors import EngineMissing

if TYPE_CHECKING:
    from tests.unit.engines.conftest import MakeServingCell, MakeStubServer


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def interpreter(folder: Path, *, command: bool, has_vllm: bool = True) -> Path:
    """A Python that answers the probe as an environment with vLLM does, and whose command may be usable."""
    told = {"vllm": {"version": "0.32.0", "command": command} if has_vllm else None, "torch": "2.13.0"}
    return program(folder / "bin" / "python3", f"#!/bin/sh\necho noise\necho '{json.dumps(told)}'\n")


@pytest.mark.parametrize(("works", "begins"), [(True, ["vllm", "serve"]), (False, ["python3", "-m"])])
def test_the_command_serves_where_it_works_and_its_module_where_it_does_not(
    works: bool,
    begins: list[str],
    tmp_path: Path,
) -> None:
    python = interpreter(tmp_path, command=works)
    command = program(tmp_path / "bin" / "vllm", f"#!{python}\nimport sys\n")
    build, start = find_vllm(command)
    assert (build.version, build.path, build.details["torch"]) == ("0.32.0", str(python), "2.13.0")
    assert [Path(start[0]).name, start[1]] == begins


def test_a_long_path_hides_the_interpreter_in_a_second_line(tmp_path: Path) -> None:
    python = interpreter(tmp_path, command=False)
    script = f"#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\nimport sys\n"
    assert Vllm(program(tmp_path / "vllm", script)).identify().path == str(python)


def test_a_python_without_vllm_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match=r"python3 has no vLLM\. Install vLLM in an environment of its own"):
        Vllm(interpreter(tmp_path, command=False, has_vllm=False)).identify()


def test_a_vllm_that_tells_no_version_is_missing_with_what_it_said(tmp_path: Path) -> None:
    broken = program(tmp_path / "vllm", "#!/bin/sh\necho PackageNotFoundError: vllm >&2\nexit 1\n")
    with pytest.raises(EngineMissing, match=r"tells no version \(it ended with exit status 1; PackageNotFoundError"):
        Vllm(broken).identify()


def test_where_no_vllm_is_every_place_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("THOR_VLLM", raising=False)
    with pytest.raises(EngineMissing, match=rf"vllm: neither {sys.executable} has it, nor is there a `vllm` command"):
        Vllm().identify()


def test_a_load_is_measured_and_the_settings_are_said(
    stub_server: MakeStubServer, serving_cell: MakeServingCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    stub = stub_server("vllm", max_model_len=64)
    settings: dict[str, Setting] = {
        "max_model_len": 64,
        "enforce_eager": True,
        "trust_remote_code": False,
        "gpu_memory_utilization": 0.9,
        "cpu_kvcache_space_gib": 1,
        "served_model_name": "qwen3",
        "extra_args": ("--seed", "3"),
    }
    [launch] = stub.measure(serving_cell(engine="vllm", settings=settings))
    assert launch.failure is None
    assert launch.doubts == ()
    assert launch.engine.version == "0.32.0"
    [start] = stub.starts()
    assert start["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert start["arguments"][:4] == ["serve", str(stub.artifact), "--served-model-name", "qwen3"]
    assert start["arguments"][8:] == [
        *("--enable-prompt-tokens-details", "--max-model-len", "64", "--gpu-memory-utilization", "0.9"),
        *("--enforce-eager", "--seed", "3"),
    ]
    assert launch.evidence["server"]["prefix_cache_hit_tokens"] == 0


def test_a_hit_that_only_the_servers_counter_shows_is_a_doubt(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    stub = stub_server("vllm", hits=16)
    cold, warm = stub.measure(
        serving_cell("cold", engine="vllm", warmup=0), serving_cell("warm", engine="vllm", warmup=0, prefix_cache=True)
    )
    assert cold.doubts == ("the server counts 48 prompt tokens that came from its prefix cache",)
    assert warm.doubts == ()
    assert warm.evidence["server"]["prefix_cache_hit_tokens"] == 48


def test_a_hit_that_the_answers_tell_is_doubted_once(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    [launch] = stub_server("vllm", cached=4).measure(serving_cell(engine="vllm", warmup=0))
    assert launch.doubts == ("12 of 24 prompt tokens came from the prefix cache",)


def test_a_load_longer_than_max_model_len_is_refused_before_the_start(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    stub = stub_server("vllm")
    [launch] = stub.measure(serving_cell(engine="vllm", settings={"max_model_len": 11}))
    assert launch.failure == (
        "8 prompt + 4 output = 12 tokens do not fit into vLLM's max_model_len of 11 tokens: raise max_model_len"
    )
    assert stub.starts() == []


def test_a_load_longer_than_the_models_own_length_is_refused_before_the_first_request(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    [launch] = stub_server("vllm", max_model_len=11).measure(serving_cell(engine="vllm"))
    assert str(launch.failure).startswith("8 prompt + 4 output = 12 tokens do not fit into vLLM's max_model_len of 11")


def test_an_option_that_the_build_does_not_know_is_an_engine_that_lacks_it(
    stub_server: MakeStubServer, serving_cell: MakeServingCell
) -> None:
    stub = stub_server("vllm", dies_loading=["api_server.py: error: unrecognized arguments: --bogus"])
    with pytest.raises(EngineMissing, match=r"vllm 0\.32\.0 .* refuses its options: unrecognized arguments: --bogus;"):
        list(stub.launch(serving_cell(engine="vllm", settings={"extra_args": ("--bogus",)})))


def test_the_counter_of_a_server_that_does_not_answer_is_not_known() -> None:
    assert prefix_hits(Place(host="127.0.0.1", port=9)) is None
