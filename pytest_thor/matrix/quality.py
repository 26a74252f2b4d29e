"""A quality workload: as the matrix file writes it, and what becomes of it."""

from pathlib import Path as FilePath
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from pytest_thor.cell import Setting, Workload
from pytest_thor.errors import MatrixError
from pytest_thor.evaluation_text import LEAST_PREDICTED, EvaluationText, predicted_tokens, read_evaluation_text
from pytest_thor.matrix.declared import DeclaredWorkload
from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.tree import Entries, Path, key_position, value_position
from pytest_thor.matrix.values import Name, Section


def _chunks_shape(value: object) -> str:
    return "word" if isinstance(value, str) else "number"


class Quality(Section):
    """How well a quant predicts a text: its perplexity and, beside a reference quant, its mean KL divergence."""

    kind: Literal["quality"]
    text: Annotated[
        str, Field(min_length=1, description="A UTF-8 text file; relative to the matrix.", examples=["texts/wiki.txt"])
    ]
    ctx_size: Annotated[
        int, Field(ge=16, le=10_000_000, description="Tokens of a chunk; those of its second half are predicted.")
    ] = 512
    chunks: Annotated[
        Annotated[Annotated[int, Field(ge=1, le=1_000_000)], Tag("number")] | Annotated[Literal["all"], Tag("word")],
        Discriminator(_chunks_shape),
        Field(description="How much of the text is read, from its beginning."),
    ] = "all"
    reference: Annotated[
        Name | None, Field(description="The quant that the others are held against.", examples=["F16"])
    ] = None


def quality_workload(
    root: Entries, path: Path, entry: Quality, folder: FilePath, findings: Findings
) -> DeclaredWorkload:
    """Return the workload that an entry stands for, and note what is wrong with it.

    A relative text is looked for in ``folder``.
    """
    text = _text(root, path, entry, folder, findings)
    if text is not None:
        _check_length(root, path, entry, text, findings)
    predicted = 0 if entry.chunks == "all" else predicted_tokens(entry.chunks, entry.ctx_size)
    if entry.reference is not None and 0 < predicted < LEAST_PREDICTED:
        findings.add(
            value_position(root, (*path, "chunks")),
            f"chunks: {entry.chunks} of {entry.ctx_size} tokens have {predicted} that are predicted, and a divergence "
            f"from the reference needs {LEAST_PREDICTED}: raise chunks or ctx_size",
        )
    parameters: dict[str, Setting] = {
        **entry.model_dump(exclude={"kind"}),
        "text_sha256": text.sha256 if text else None,
    }
    workload = Workload(name=str(path[-1]), kind="quality", parameters=tuple(sorted(parameters.items())))
    return DeclaredWorkload(workload=workload, position=key_position(root, path))


def _text(root: Entries, path: Path, entry: Quality, folder: FilePath, findings: Findings) -> EvaluationText | None:
    try:
        return read_evaluation_text(folder / entry.text)
    except MatrixError as error:
        for problem in error.problems:
            findings.add(value_position(root, (*path, "text")), f"text: {problem.path}: {problem.message}")
        return None


def _check_length(root: Entries, path: Path, entry: Quality, text: EvaluationText, findings: Findings) -> None:
    """Note a text that is too short whatever the vocabulary: the program itself tells of one that is by its tokens."""
    if text.most_tokens < 2 * entry.ctx_size:
        findings.add(
            value_position(root, (*path, "text")),
            f"text: {entry.text} has {text.size_bytes} bytes and so {text.most_tokens} tokens at most, and "
            f"ctx_size {entry.ctx_size} needs {2 * entry.ctx_size} or more: give a longer text, or lower ctx_size",
        )
    elif entry.chunks != "all" and entry.chunks * entry.ctx_size > text.most_tokens:
        findings.add(
            value_position(root, (*path, "chunks")),
            f"chunks: {entry.text} has {text.size_bytes} bytes, of which {text.most_tokens // entry.ctx_size} chunks "
            f"of {entry.ctx_size} tokens can be made at most: lower chunks or ctx_size, or give a longer text",
        )
