"""Running llama.cpp's own converter of HF checkpoints, convert_hf_to_gguf.py, where the user points to it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from pytest_thor.artifacts.means import CONVERTER_PYTHON, Converter
from pytest_thor.artifacts.program import run_program
from pytest_thor.errors import ArtifactError
from pytest_thor.foreign_file import file_sha256

_PERCENT = re.compile(r"(?P<percent>\d{1,3})%\|")
_LACKS = re.compile(r"^(?:ModuleNotFoundError|ImportError): (?P<what>.+)")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
"""A conversion takes what lies on the disk: a tokenizer that is not there is no reason to ask a hub for it."""


def build_of(converter: Converter) -> dict[str, str]:
    """Say which converter this is: its path, and a hash of its source with the package beside it that it imports.

    Raises:
        OSError: it cannot be read.
    """
    script = converter.script
    package = sorted((script.parent / "conversion").glob("*.py")) if script.suffix == ".py" else []
    hashes = [file_sha256(path) for path in (script, *package)]
    found = {"converter": str(script), "converter_sha256": hashlib.sha256("".join(hashes).encode()).hexdigest()}
    return found if converter.python is None else {**found, "converter_python": str(converter.python)}


def run_converter(
    converter: Converter, checkpoint: Path, target: Path, float_type: str, *, on_progress: Callable[[str], None]
) -> None:
    """Convert an HF directory into the GGUF file ``target``, its matrices in ``float_type`` (``BF16``).

    Raises:
        ArtifactError: the converter is not there, lacks a Python package, or failed; the end of its log is in the
            message. What it wrote so far still stands.
    """
    command = [*converter.command(), str(checkpoint), "--outfile", str(target), "--outtype", float_type.lower()]
    doing = f"converting {checkpoint.name} to {float_type}"
    tenths, lacks = 0, ""

    def listen(line: str) -> None:
        nonlocal tenths, lacks
        if (found := _PERCENT.search(line)) and int(found["percent"]) // 10 > tenths:
            tenths = int(found["percent"]) // 10
            on_progress(f"{doing}: {10 * tenths} %")
        if missing := _LACKS.match(line):
            lacks = missing["what"]

    on_progress(doing)
    ended = run_program(
        command, on_line=listen, environment={key: os.environ.get(key, _OFFLINE[key]) for key in _OFFLINE}
    )
    if ended.status and lacks:
        raise ArtifactError(
            f"{converter.script} cannot run under {command[0]}: {lacks}; install what its requirements file lists, or "
            f"name a Python that has it: --thor-engine {CONVERTER_PYTHON}=PATH"
        )
    if ended.status:
        raise ArtifactError(f"{command[0]} {ended.sentence(f'while {doing}')}")
