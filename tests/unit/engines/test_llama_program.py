"""A program of llama.cpp: what is none, and what it says where it does not start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_thor.engines.base import Engine
from pytest_thor.engines.llama_bench import LlamaBench
from pytest_thor.engines.llama_cpp_python import LlamaCppPython
from pytest_thor.engines.llama_perplexity import LlamaPerplexity
from pytest_thor.engines.llama_server import LlamaServer
from pytest_thor.engines.vllm import Vllm
from pytest_thor.errors import EngineMissing

WRONG = "echo 'python3: error while loading shared libraries: libllama.so' >&2; exit 127"


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("engine", [LlamaBench, LlamaCppPython, LlamaPerplexity, LlamaServer, Vllm])
def test_a_program_that_does_not_start_is_missing_with_what_it_said(
    engine: Callable[[Path], Engine], tmp_path: Path
) -> None:
    with pytest.raises(EngineMissing, match=r"exit status 127.* error while loading shared libraries: libllama"):
        engine(script(tmp_path / "program", WRONG)).identify()


@pytest.mark.parametrize("engine", [LlamaBench, LlamaPerplexity, LlamaServer, Vllm])
def test_what_a_program_says_is_told_without_the_environments_secrets(
    engine: Callable[[Path], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "hush-hush-1234")
    with pytest.raises(EngineMissing, match=r"bad token \*\*\*"):
        engine(script(tmp_path / "program", 'echo "bad token $MY_TOKEN"; exit 1')).identify()


@pytest.mark.parametrize(
    ("engine", "options"),
    [(LlamaBench, "--n-prompt"), (LlamaPerplexity, "--kl-divergence"), (LlamaServer, "--port and --model")],
)
def test_another_program_is_told_from_its_options(
    engine: Callable[[Path], Engine], options: str, tmp_path: Path
) -> None:
    with pytest.raises(EngineMissing, match=rf"is no llama-\w+ that runs here: its --help lists no {options} .*hello"):
        engine(script(tmp_path / "program", "echo hello")).identify()
