"""Running llama.cpp's quantizer: found, watched, and ended with everything it started."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pytest_thor.artifacts.gguf_types import FILE_TYPES
from pytest_thor.artifacts.program import run_program
from pytest_thor.cores import cores
from pytest_thor.errors import ArtifactError

_STEP = re.compile(r"\[\s*(?P<done>\d{1,9})/\s*(?P<all>[1-9]\d{0,8})\]")
_BUILD = re.compile(r"(?:version: |main: build = )(?P<program>.+)|(?P<binding>llama-cpp-python .+)")


def quantize(
    source: Path,
    target: Path,
    quant: str,
    *,
    program: Path | None,
    on_progress: Callable[[str], None],
    options: tuple[str, ...] = (),
) -> str | None:
    """Quantize ``source`` into ``target`` and return the quantizer's build as it reports it.

    ``options`` are llama-quantize's own, such as ``--imatrix FILE``; llama-cpp-python alone takes none.

    ``program`` is a llama-quantize; None takes the one of the running Python's llama-cpp-python, then one on the
    ``PATH``, then llama-cpp-python itself in a process of its own. When this returns or raises, no process is left.

    Raises:
        ArtifactError: no quantizer was found, or it failed; the end of its log is in the message.
    """
    number = {name: number for number, name in FILE_TYPES.items()}[quant]  # names differ here and there
    quantizer = _command(program)
    if options and len(quantizer) > 1:
        raise ArtifactError(f"{options[0]} needs a llama-quantize, and only llama-cpp-python was found; run `make`")
    command = [*quantizer, *options, str(source), str(target), str(number), str(cores())]
    build: str | None = None
    tenths = 0

    def listen(line: str) -> None:
        nonlocal build, tenths
        if build is None and (match := _BUILD.match(line)):
            build = match["program"] or match["binding"]
        if (step := _STEP.search(line)) and 10 * int(step["done"]) // int(step["all"]) > tenths:
            tenths = 10 * int(step["done"]) // int(step["all"])
            on_progress(f"quantizing to {quant}: {10 * tenths} %")

    ended = run_program(command, on_line=listen)
    if ended.status:
        raise ArtifactError(f"{command[0]} {ended.sentence(f'while quantizing {source.name} to {quant}')}")
    return build


def _command(program: Path | None) -> list[str]:
    if program is not None:
        return [str(program)]
    binding = importlib.util.find_spec("llama_cpp")
    if binding is not None and binding.origin is not None:
        beside = Path(binding.origin).parent.parent / "bin" / "llama-quantize"
        if os.access(beside, os.X_OK):
            return [str(beside)]
    found = shutil.which("llama-quantize")
    if found is not None:
        return [found]
    if binding is not None:
        return [sys.executable, "-m", "pytest_thor.artifacts.quantize_worker"]
    raise ArtifactError(
        "no llama-quantize was found; `make` builds one, or install llama.cpp, "
        "or `pip install 'pytest-thor[llama-cpp-python]'`"
    )
