"""The readers of what others publish: pages, tables, blocks, JSON, CSV, SQL, and the references made of them."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

from pytest_thor.believable import hold_published
from pytest_thor.comparison.source import read_source
from pytest_thor.errors import PublishedError, ThorError
from pytest_thor.published import reference
from pytest_thor.published.page import decode
from pytest_thor.published.read import FORMATS, read
from pytest_thor.published.records import PublishedResult, Reading
from pytest_thor.published_report import report_of
from tests.fuzz.target import Target, golden, written

_PAGES = golden("published/*", "llama_bench/*", "vllm_bench_serve_high_load.txt")


def check(results: tuple[PublishedResult, ...]) -> None:
    for result in results:
        assert result.metrics
        for figure in result.metrics.values():
            assert math.isfinite(figure.value)
            assert figure.value >= 0
            assert figure.spread is None or math.isfinite(figure.spread)
            assert all(map(math.isfinite, figure.samples))


def read_page(content: bytes, folder: Path) -> None:
    text = decode(content)
    form = FORMATS[len(content) % len(FORMATS)]
    for each in {"auto", form}:
        reading = read(text, name="page", format=each)
        check(reading.results)
        assert "\x1b" not in repr(reading)
        reference.dump(reading).encode()
        report_of((result, hold_published(result)) for result in reading.results[:5])


def _reference() -> bytes:
    reading = read(decode(_PAGES[0]) + "\n" + decode(_PAGES[4]), name="page")
    return reference.dump(
        Reading(source=reading.source, results=reading.results[:3], unread=reading.unread[:1])
    ).encode()


def read_reference(content: bytes, folder: Path) -> None:
    path = written(folder, "reference.json", content)
    with suppress(PublishedError):
        reading = reference.load(path)
        assert all(math.isfinite(figure.value) for each in reading.results for figure in each.metrics.values())
        reference.dump(reading).encode()
    with suppress(ThorError):
        read_source(path, name="side")


TARGETS = (
    Target(name="published-page", read=read_page, seeds=_PAGES),
    Target(name="published-reference", read=read_reference, seeds=(_reference(),)),
)
