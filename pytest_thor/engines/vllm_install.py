"""Finds vLLM: an interpreter that has it, or its command, and how that installation starts a server or its client."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from pytest_thor.engines.locate import chosen, find, variable
from pytest_thor.engines.log_tail import last_words
from pytest_thor.engines.process import run_briefly
from pytest_thor.errors import EngineMissing
from pytest_thor.measurement import EngineBuild

_PROBE = Path(__file__).with_name("vllm_probe.py")
_MODULE = "vllm.entrypoints.openai.api_server"
_SHEBANG = re.compile(r"\A#!\s*(\S*python[\w.]*)\s*$|^'''exec' \"?(\S*?python[\w.]*)\"? ", re.MULTILINE)
_VERSION = re.compile(r"^(?:vllm\s+)?(\d+\.\d\S*)\s*$", re.MULTILINE)
_ADVICE = (
    f"Install vLLM in an environment of its own (docs/serving.md says how) and say --thor-engine vllm=PATH or "
    f"{variable('vllm')}=PATH: its Python, or its `vllm` command."
)


class _Vllm(BaseModel):
    version: str | None
    command: bool


class _Told(BaseModel):
    """What the probe prints."""

    vllm: _Vllm | None
    torch: str | None = None
    packages: dict[str, str] = {}


def find_vllm(override: Path | None) -> tuple[EngineBuild, tuple[str, ...]]:
    """Return the build, and the beginning of a command that only lacks the model's folder and options.

    Looked at: what the user chose, this Python, the ``vllm`` command of its installation and of ``PATH``.

    Raises:
        EngineMissing: none has vLLM, or what the user chose has not.
    """
    path, found = _find(override)
    if found is None:
        return _by_command(path)
    command = found.python.with_name("vllm")
    by_command = found.vllm.command and command.is_file()
    start = (str(command), "serve") if by_command else (str(found.python), "-m", _MODULE, "--model")
    return found.build, start


def find_interpreter(override: Path | None) -> EngineBuild:
    """Return the build whose ``path`` is a Python that has vLLM, looked for where :func:`find_vllm` looks.

    Raises:
        EngineMissing: none has it, or what the user chose is a command whose Python is not known.
    """
    path, found = _find(override)
    if found is None:
        raise EngineMissing(f"vllm: {path} is a command that does not tell which Python it runs. {_ADVICE}")
    return found.build


class _Found(NamedTuple):
    """An interpreter that has vLLM."""

    python: Path
    vllm: _Vllm
    build: EngineBuild


def _find(override: Path | None) -> tuple[Path, _Found | None]:
    """Return the program, and the interpreter behind it where it is known."""
    path = chosen("vllm", override)
    if path is None:
        own = Path(sys.executable).absolute()
        told = _ask(own)
        if told is not None and told.vllm is not None:
            return own, _found(own, told.vllm, told)
        try:
            path = find("vllm", "vllm", None)
        except EngineMissing:
            raise EngineMissing(
                f"vllm: neither {own} has it, nor is there a `vllm` command beside it or on PATH. {_ADVICE}"
            ) from None
    interpreter = _interpreter_of(path)
    told = _ask(interpreter) if interpreter else None
    if interpreter is None or told is None:
        return path, None
    if told.vllm is None:
        raise EngineMissing(f"vllm: {interpreter} has no vLLM. {_ADVICE}")
    return path, _found(interpreter, told.vllm, told)


def _found(python: Path, vllm: _Vllm, told: _Told) -> _Found:
    build = _build(python, vllm.version, torch=told.torch, packages=told.packages)
    return _Found(python=python, vllm=vllm, build=build)


def _by_command(path: Path) -> tuple[EngineBuild, tuple[str, ...]]:
    """Take a ``vllm`` whose interpreter is not known, such as a container's, at its word."""
    printed, ending = run_briefly([str(path), "--version"], timeout_s=180)
    version = _VERSION.search(printed)
    if not ending.ok or version is None:
        raise EngineMissing(
            f"vllm: {path} --version tells no version ({ending.sentence('it', 180)}; {last_words(printed)}). {_ADVICE}"
        )
    return _build(path, version[1]), (str(path), "serve")


def _build(path: Path, version: str | None, **details: object) -> EngineBuild:
    return EngineBuild(name="vllm", path=str(path), version=version, details=details)


def _interpreter_of(path: Path) -> Path | None:
    """Return the Python that a program is, or that the script of a command names in its first lines."""
    if path.name.startswith(("python", "pypy")):
        return path
    with path.open("rb") as file:
        head = file.read(512).decode("utf-8", errors="replace")
    named = _SHEBANG.search(head)
    interpreter = Path(named[1] or named[2]) if named else None
    return interpreter if interpreter and interpreter.is_absolute() and interpreter.is_file() else None


def _ask(python: Path) -> _Told | None:
    """Return what an interpreter says of its vLLM, or None where it says nothing that can be read."""
    printed, _ = run_briefly([str(python), str(_PROBE)])
    line = next((line for line in printed.splitlines() if line.startswith('{"vllm"')), "")
    try:
        return _Told.model_validate_json(line)
    except ValidationError:
        return None
