"""What llama-bench writes: one JSON object a line and test, checked against what was asked.

llama-bench's fields come and go between builds, so few are required and the rest is kept as evidence.
The in-process engine writes the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_thor import foreign_json
from pytest_thor.cell import Cell

METRIC = {"prefill": "pp_tps", "decode": "tg_tps"}

Number: TypeAlias = Annotated[float, Field(strict=True)]

_ROUNDING = 1e-4  # samples_ts is printed with six digits


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchTest:
    """One test as llama-bench knows it: so many prompt or generated tokens, at a depth, so many times."""

    n_prompt: int
    n_gen: int
    n_depth: int
    repetitions: int

    @property
    def tokens(self) -> int:
        """The tokens that one repetition processes."""
        return self.n_prompt + self.n_gen

    def __str__(self) -> str:
        name = f"pp{self.n_prompt}" if self.n_prompt else f"tg{self.n_gen}"
        return f"{name} @ d{self.n_depth}" if self.n_depth else name


def test_of(cell: Cell) -> BenchTest:
    """Return the test that measures a prefill or decode cell."""
    workload = cell.workload
    prefill = workload.kind == "prefill"
    return BenchTest(
        n_prompt=workload.count("n_prompt") if prefill else 0,
        n_gen=0 if prefill else workload.count("n_gen"),
        n_depth=workload.count("n_depth"),
        repetitions=workload.count("repetitions"),
    )


class Row(BaseModel):
    """One line of ``-o jsonl``; ``samples_ns`` are the repetitions' durations, ``samples_ts`` their speeds in tok/s."""

    model_config = ConfigDict(extra="allow", frozen=True)

    n_prompt: int = Field(strict=True, ge=0)
    n_gen: int = Field(strict=True, ge=0)
    n_depth: int = Field(default=0, strict=True, ge=0)  # builds before -d have none
    samples_ns: tuple[Number, ...] | None = None
    samples_ts: tuple[Number, ...] | None = None

    def matches(self, test: BenchTest) -> bool:
        """Say whether this row is of that test."""
        return (self.n_prompt, self.n_gen, self.n_depth) == (test.n_prompt, test.n_gen, test.n_depth)

    def text(self, name: str) -> str | None:
        """Return a further field as text, or None where this build has none."""
        value = (self.model_extra or {}).get(name)
        return str(value) if isinstance(value, str | int) and value != "" else None

    def evidence(self) -> dict[str, Any]:
        """Return every plain field, without the samples; a number that JSON cannot say is None."""
        fields = self.model_dump(exclude={"samples_ns", "samples_ts"})
        return {name: _plain(value) for name, value in fields.items() if not isinstance(value, dict | list)}


class UnreadableRowError(ValueError):
    """A line that looks like a row and is none."""


def read_row(line: str) -> Row | None:
    """Read one line of output; None is a line of something else (logs, blank lines).

    Raises:
        UnreadableRowError: it begins as a row does, and is cut short or lacks what every build writes.
    """
    text = line.strip()
    if not text.startswith("{"):
        return None
    try:
        return Row.model_validate(foreign_json.parse(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the row"
        raise UnreadableRowError(f"{where}: {first['msg']}") from error
    except ValueError as error:
        raise UnreadableRowError(str(error)) from error


def speeds_tps(row: Row, test: BenchTest) -> tuple[float, ...] | str:
    """Return the speed of each repetition in tok/s, or a sentence that says why the row cannot be believed.

    The definition is llama-bench's own: (n_prompt + n_gen) / seconds. Figures that are no speed (0, negative, not
    finite) are handed on as they are: they are the judge's business.
    """
    if row.samples_ns is None and row.samples_ts is None:
        return f"the row of {test} holds neither samples_ns nor samples_ts"
    if row.samples_ns is None:
        speeds = row.samples_ts or ()
    else:
        speeds = tuple(_speed_tps(test.tokens, duration_ns) for duration_ns in row.samples_ns)
    if len(speeds) != test.repetitions:
        return f"{test.repetitions} repetitions of {test} were asked for, and the row holds {len(speeds)}"
    claimed = row.samples_ts if row.samples_ts is not None else speeds
    if len(claimed) != len(speeds):
        return f"the row of {test} contradicts itself: {len(speeds)} samples_ns, {len(claimed)} samples_ts"
    for speed, claim in zip(speeds, claimed, strict=True):
        if not _agree(speed, claim):
            return (
                f"the row of {test} contradicts itself: samples_ns give {speed:.6g} tok/s, samples_ts say {claim:.6g}"
            )
    return speeds


def differences(row: Row, expected: Mapping[str, Any]) -> list[str]:
    """List the fields in which a row names another setting than was asked for."""
    return [
        f"{name}: {wanted!r} was asked for, the engine reports {found!r}"
        for name, wanted in expected.items()
        if (found := (row.model_extra or {}).get(name)) is not None and found != wanted
    ]


def _speed_tps(tokens: int, duration_ns: float) -> float:
    return tokens * 1e9 / duration_ns if duration_ns else math.inf


def _agree(speed: float, claim: float) -> bool:
    if not (math.isfinite(speed) and math.isfinite(claim)):
        return math.isfinite(speed) == math.isfinite(claim)
    return math.isclose(speed, claim, rel_tol=_ROUNDING)


def _plain(value: Any) -> Any:  # noqa: ANN401 - a JSON scalar of any kind
    return None if isinstance(value, float) and not math.isfinite(value) else value
