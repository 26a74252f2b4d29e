"""Problems are collected while a matrix is read, and raised all at once."""

from __future__ import annotations

from pytest_thor.errors import MatrixError, Problem
from pytest_thor.matrix.declared import Position

MAX_TOLD = 500
"""Problems in one error; a file with more is not a matrix, and its user's screen is spared."""


class Findings:
    """The problems of one file so far."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: dict[tuple[Position, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def is_full(self) -> bool:
        """Tell whether more problems were found than are told, so that advice on another would be for nobody."""
        return len(self._found) > MAX_TOLD

    def add(self, position: Position, message: str) -> None:
        """Note a problem; the same one twice is one."""
        self._found[position, message] = None

    def take(self, other: Findings) -> None:
        """Note everything that others found."""
        self._found.update(other._found)

    def error(self) -> MatrixError:
        """Return everything found as one error, in the file's order."""
        found = sorted(self._found)
        if len(found) > MAX_TOLD:
            found[MAX_TOLD:] = [(found[MAX_TOLD][0], f"and {len(found) - MAX_TOLD:,} more problems from here on")]
        return MatrixError(
            tuple(
                Problem(path=self._path, line=position.line, column=position.column, message=message)
                for position, message in found
            )
        )
