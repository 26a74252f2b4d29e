"""The values that a matrix file is made of: names, thresholds, durations, counts, and how each may be written."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from pytest_thor.matrix.names import MAX_NAME, NAME_PATTERN, safe_name
from pytest_thor.units import parse_duration, parse_percent

MAX_DURATION_S = 7 * 86400.0


def _fraction(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a threshold is a percentage between 0 % and 100 %: write 3% or 0.03")  # noqa: TRY004
    return parse_percent(value)


def _seconds(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"a {what} is a duration: write seconds, or a number with s, m or h (30m)")  # noqa: TRY004
    seconds = parse_duration(value)
    if seconds > MAX_DURATION_S:
        raise ValueError(f"a {what} of {value} is too long: at most 7d")
    return seconds


def _timeout(value: object) -> float:
    return _seconds(value, "timeout")


def _duration(value: object) -> float:
    return _seconds(value, "load")


def _ramp_up(value: object) -> float:
    return 0.0 if _is_zero(value) else _seconds(value, "ramp-up")


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a share is a percentage below 100 %: write 1% or 0.01")  # noqa: TRY004
    return 0.0 if _is_zero(value) else parse_percent(value)


def _is_zero(value: object) -> bool:
    return value == 0 or (isinstance(value, str) and value.strip().removesuffix("%").rstrip() == "0")


def _one_is_a_list(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


def _nothing_is_empty(value: object, empty: type) -> object:
    return empty() if value is None else value


def empty_mapping(value: object) -> object:
    """Take nothing for a mapping without keys."""
    return _nothing_is_empty(value, dict)


def empty_list(value: object) -> object:
    """Take nothing for a list without items."""
    return _nothing_is_empty(value, list)


Name: TypeAlias = Annotated[
    str,
    AfterValidator(safe_name),
    WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "maxLength": MAX_NAME}),
]
Threshold: TypeAlias = Annotated[
    float,
    BeforeValidator(_fraction),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ],
            "description": "The smallest change that matters: a percentage (3%) or a fraction (0.03).",
            "examples": ["3%", 0.03],
        }
    ),
]
Thresholds: TypeAlias = dict[str, Threshold]
_DURATION_PATTERN = r"^\s*\d+(\.\d+)?\s*(ms|s|m|min|h|d)?\s*$"


def _span(least: Literal["minimum", "exclusiveMinimum"], *examples: str | float) -> WithJsonSchema:
    number = {"type": "number", least: 0, "maximum": MAX_DURATION_S}
    return WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": _DURATION_PATTERN}, number], "examples": list(examples)}
    )


Timeout: TypeAlias = Annotated[float, BeforeValidator(_timeout), _span("exclusiveMinimum", "30m", 90)]
Duration: TypeAlias = Annotated[float, BeforeValidator(_duration), _span("exclusiveMinimum", "60s", 90)]
RampUp: TypeAlias = Annotated[float, BeforeValidator(_ramp_up), _span("minimum", "10s")]
Share: TypeAlias = Annotated[
    float,
    BeforeValidator(_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"},
                {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
            ],
            "examples": ["1%", 0.01],
        }
    ),
]
Patterns: TypeAlias = Annotated[
    list[str],
    BeforeValidator(_one_is_a_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Tokens: TypeAlias = Annotated[int, Field(ge=1, le=10_000_000)]
Repetitions: TypeAlias = Annotated[int, Field(ge=1, le=1000, description="Samples inside one launch.")]
Depth: TypeAlias = Annotated[
    int, Field(ge=0, le=10_000_000, description="Tokens that the context already holds, filled outside the timer.")
]


class Section(BaseModel):
    """A mapping with exactly these keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
