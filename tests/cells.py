"""Cells for tests: those of one small model unless a test asks for another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_thor.cell import ArtifactReference, Backend, Cell, Kind, Model, Setting, Workload

SYNTHETIC = ArtifactReference(format="synthetic", location="qwen3-tiny")


def build_cell(
    kind: Kind = "decode",
    parameters: Mapping[str, Setting] | None = None,
    *,
    workload: str = "w",
    model: str = "tiny",
    architecture: str | None = None,
    quant: str = "F16",
    artifact: ArtifactReference | None = None,
    backend: str = "b",
    engine: str = "llama-bench",
    settings: Mapping[str, Setting] | None = None,
    timeout_s: float = 60.0,
    matrix: str = "m",
    path: str | Path | None = None,
    reference: ArtifactReference | None = None,
) -> Cell:
    """Return a cell; settings and parameters are sorted as a matrix would, the artifact is a GGUF file of its name."""
    return Cell(
        matrix=matrix,
        matrix_path=f"{matrix}.yaml" if path is None else str(path),
        line=1,
        model=Model(name=model, architecture=architecture),
        quant=quant,
        artifact=artifact or ArtifactReference(format="gguf", location=f"{model}-{quant}.gguf"),
        backend=Backend(
            name=backend, engine=engine, settings=tuple(sorted((settings or {}).items())), timeout_s=timeout_s
        ),
        workload=Workload(name=workload, kind=kind, parameters=tuple(sorted((parameters or {}).items()))),
        thresholds=(),
        reference=reference,
    )


QWEN3 = build_cell(
    "decode",
    {"n_depth": 0, "n_gen": 128, "repetitions": 5},
    workload="tg128",
    model="qwen3-8b",
    architecture="qwen3-8b",
    quant="Q4_K_M",
    backend="llama.cpp",
    matrix="qwen3",
    path="matrices/qwen3.yaml",
)
"""A decode cell of Qwen3-8B."""
