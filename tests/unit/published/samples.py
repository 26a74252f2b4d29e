"""The recorded and hand-made outputs of other tools, and how a test reads them."""

from __future__ import annotations

from pathlib import Path

from pytest_thor.published.page import decode
from pytest_thor.published.read import Format, read
from pytest_thor.published.records import Reading

FOLDER = Path(__file__).parents[2] / "golden" / "published"
PUBLISHED = Path(__file__).parents[3] / "baselines" / "published"

HEAD = (
    "| model | size | params | backend | ngl | test | t/s |",
    "| ----- | ---: | -----: | ------- | --: | ---: | --: |",
)


def sample(name: str, *, form: Format = "auto") -> Reading:
    return read(decode((FOLDER / name).read_bytes()), name=name, format=form)


def lines(*text: str) -> Reading:
    return read("\n".join(text) + "\n", name="lines")


def row(speed: str, *, test: str = "tg128", model: str = "aurora 7B Q8_0") -> str:
    return f"| {model} | 4.00 GiB | 7.00 B | CUDA | 99 | {test} | {speed} |"


def values(reading: Reading, metric: str) -> list[float | None]:
    return [result.metrics[metric].value if metric in result.metrics else None for result in reading.results]


def reasons(reading: Reading) -> list[tuple[int, str]]:
    return [(problem.line, problem.reason) for problem in reading.unread]
