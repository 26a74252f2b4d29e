"""Every error that pytest-thor raises on purpose.

::

    ThorError
    ├── MatrixError        the matrix file is wrong; carries every problem at once
    ├── ArtifactError      a model's files cannot be used
    │   ├── ArtifactMissing    they are not there
    │   └── ArtifactInvalid    they are there, but are not what they claim
    ├── EngineError        an engine cannot measure
    │   ├── EngineMissing      it is not installed, or lacks an option that the matrix asks for
    │   └── EngineFailure      it ran and failed; carries the end of its log
    ├── DeviceError        a device that was named is not there, or its lock cannot be had
    ├── BaselineError      a stored baseline cannot be read or written
    ├── PublishedError     a published result, or a reference made of some, cannot be read or written
    └── ReportError        the report folder cannot be written

A message says what is wrong, where, what was expected, and what to do; it is shown without a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_thor.plain_text import printable


class ThorError(Exception):
    """The root of the tree; its message may quote what is outside, and a terminal obeys nothing in it."""

    def __str__(self) -> str:
        return printable(super().__str__())


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a matrix file, with its 1-based position."""

    path: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return printable(f"{self.path}:{self.line}:{self.column}: {self.message}")


class MatrixError(ThorError):
    """A matrix file has one or more problems."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class ArtifactError(ThorError):
    """A model's files cannot be used."""


class ArtifactMissing(ArtifactError):  # noqa: N818 - reads as the state it reports
    """A model's files are not where the matrix says."""


class ArtifactInvalid(ArtifactError):  # noqa: N818
    """A model's files are truncated, foreign or contradict themselves."""


class EngineError(ThorError):
    """An engine cannot measure."""


class EngineMissing(EngineError):  # noqa: N818
    """An engine is not installed, or this build lacks what the matrix asks for."""


class EngineFailure(EngineError):  # noqa: N818
    """An engine ran and failed; ``log_tail`` holds the end of what it printed."""

    def __init__(self, message: str, *, log_tail: str = "") -> None:
        super().__init__(message)
        self.log_tail = log_tail


class DeviceError(ThorError):
    """A device that was named is not on this machine, or its lock cannot be had."""


class BaselineError(ThorError):
    """A stored baseline cannot be read or written."""


class PublishedError(ThorError):
    """A file of published results cannot be read, or a reference made of it cannot be written."""


class ReportError(ThorError):
    """The report folder cannot be written."""
