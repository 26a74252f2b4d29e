"""What may be done about a model that is not there. Every start of pytest reads this: nothing heavy is imported."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.errors import ArtifactError

CONVERTER = "convert_hf_to_gguf"
"""The name that ``--thor-engine NAME=PATH`` gives the converter."""

CONVERTER_PYTHON = "convert_hf_to_gguf.python"
"""The name of the Python that has the packages which the converter imports."""

_SCRIPT = "convert_hf_to_gguf.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """llama.cpp's converter: the script or the folder that holds it, or a program that takes the same arguments.

    ``python`` runs a script; None is the Python that runs now.
    """

    program: Path
    python: Path | None = None

    @property
    def script(self) -> Path:
        """The file that is run."""
        return self.program / _SCRIPT if self.program.is_dir() else self.program

    def command(self) -> list[str]:
        """Return what to start, less its arguments.

        Raises:
            ArtifactError: there is no such file.
        """
        if not self.script.is_file():
            raise ArtifactError(
                f"{self.script}: there is no such file; --thor-engine {CONVERTER}=PATH names llama.cpp's {_SCRIPT}, or "
                "the folder that holds it"
            )
        is_script = self.script.suffix == ".py"
        return [str(self.python or sys.executable), str(self.script)] if is_script else [str(self.script)]


def converter_of(programs: Mapping[str, Path]) -> Converter | None:
    """Return the converter that is named among the user's programs, None where none is."""
    program = programs.get(CONVERTER)
    return None if program is None else Converter(program=program, python=programs.get(CONVERTER_PYTHON))


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What may be done about a model that is not there.

    ``imatrix`` guides the quants that are made; ``converter`` makes a GGUF file of an HF checkpoint first.
    """

    download: bool = False
    quantize: bool = False
    imatrix: Path | None = None
    converter: Converter | None = None
