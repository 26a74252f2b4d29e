"""What is measured: a cell is one model × quant × backend × workload.

Everything here is a frozen, hashable record of plain values, so that a cell may be a pytest parameter, a
dictionary key and a line of JSON alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

ArtifactFormat: TypeAlias = Literal["gguf", "hf", "synthetic"]
Kind: TypeAlias = Literal["prefill", "decode", "serving", "quality"]
Scalar: TypeAlias = "bool | int | float | str | None"
Setting: TypeAlias = "Scalar | tuple[Scalar, ...]"
Pairs: TypeAlias = tuple[tuple[str, Setting], ...]
"""Names with values, sorted by name: a dictionary that can be hashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactReference:
    """Where the files of one model × quant are, as the matrix says it.

    ``location`` is a path (relative ones are found under the model roots) for ``gguf`` and ``hf``, and the name
    of a known architecture for ``synthetic``.
    """

    format: ArtifactFormat
    location: str
    hub: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is asked of a model; ``parameters`` are those of its kind, all present, defaults filled in.

    prefill: ``n_prompt``, ``n_depth``, ``repetitions``. decode: ``n_gen``, ``n_depth``, ``repetitions``.
    serving: those of docs/matrix.md, with ``duration_s``, ``ramp_up_s``, ``slo_ttft_ms``, ``slo_tpot_ms`` and
    ``slo_e2el_ms`` in the unit of their names, ``input_len`` and ``output_len`` a number or a pair (least, most),
    ``trace_sha256`` the digest of the ``trace`` and ``sweep`` the parameter that a point of a sweep stands for.
    quality: ``text`` as the matrix writes it and ``text_sha256``, ``ctx_size``, ``chunks`` (a number, or ``all``) and
    ``reference``, the name of a quant or None.
    """

    name: str
    kind: Kind
    parameters: Pairs

    def __getitem__(self, name: str) -> Setting:
        for key, value in self.parameters:
            if key == name:
                return value
        raise KeyError(name)

    def count(self, name: str) -> int:
        """Return a parameter that is a whole number."""
        value = self[name]
        if not isinstance(value, int):
            raise TypeError(f"{self.name}.{name} is {value!r}, not a whole number")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """An engine with its settings, under the name that the matrix gives it."""

    name: str
    engine: str
    settings: Pairs
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A named LLM; ``architecture`` names a known shape, where the matrix says which."""

    name: str
    architecture: str | None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One model × quant × backend × workload of one matrix: one test, and the key of one baseline entry.

    ``thresholds`` are the smallest changes that matter, as fractions (0.03 is 3 %), by metric. ``line`` is where
    the matrix declares the model. The ``canary`` is the cell that tells whether the machine itself changed. A quality
    cell may have a ``reference``: the files of the quant that this one is held against, None where it is that quant.
    """

    matrix: str
    matrix_path: str
    line: int
    model: Model
    quant: str
    artifact: ArtifactReference
    backend: Backend
    workload: Workload
    thresholds: tuple[tuple[str, float], ...]
    canary: bool = False
    reference: ArtifactReference | None = None

    @cached_property
    def id(self) -> str:
        """The cell's name within its matrix: ``qwen3-8b-Q4_K_M-llama.cpp-tg128``."""
        return f"{self.model.name}-{self.quant}-{self.backend.name}-{self.workload.name}"

    @property
    def kind(self) -> Kind:
        """The workload's kind."""
        return self.workload.kind

    @property
    def group(self) -> tuple[str, str, str, str]:
        """What the cells that can share a running engine have in common: matrix, model, quant, backend."""
        return (self.matrix_path, self.model.name, self.quant, self.backend.name)

    @cached_property
    def fields(self) -> dict[str, str]:
        """The words that select this cell, as in ``-m "thor_cell(quant='Q4_K_M')"``."""
        return {
            "matrix": self.matrix,
            "model": self.model.name,
            "quant": self.quant,
            "backend": self.backend.name,
            "engine": self.backend.engine,
            "workload": self.workload.name,
            "kind": self.workload.kind,
        }

    def __hash__(self) -> int:
        return hash((self.matrix_path, self.id))  # unique by construction, and cheaper than every field

    def __repr__(self) -> str:
        return f"<Cell {self.id}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTraits:
    """What a matrix must know of an engine: which artifacts and workloads it takes, and its settings.

    ``settings`` is a pydantic model class that validates the matrix's ``settings:`` of a backend (typed loosely,
    since this floor imports the standard library only). ``synthetic`` is the form in which the engine takes a
    synthetic model, where ``formats`` has it: a GGUF file, or an HF directory without weights. ``needs_artifact`` is
    false for an engine that attaches to a server which has its model already.
    """

    name: str
    formats: frozenset[ArtifactFormat]
    kinds: frozenset[Kind]
    settings: type[Any]
    synthetic: Literal["gguf", "hf"] = "gguf"
    needs_artifact: bool = True
