"""Tables of quants on offer."""

from __future__ import annotations

import pytest

from pytest_thor.published.quant_table import advice_of
from tests.unit.published.samples import lines, reasons, sample


def test_files_with_their_sizes_and_the_class_of_advice() -> None:
    reading = sample("quants.md")

    assert [(result.model, result.quant, result.metrics["file_bytes"].value) for result in reading.results] == [
        ("Aurora-7B", "BF16", 14_500_000_000),
        ("Aurora-7B", "Q6_K_L", 6_250_000_000),
        ("Aurora-7B", "Q3_K_S", 3_100_000_000),
    ]
    assert [dict(result.settings) for result in reading.results] == [
        {"file": "Aurora-7B-bf16.gguf", "split": True, "advice": "full precision"},
        {"file": "Aurora-7B-Q6_K_L.gguf", "split": False, "advice": "recommended", "embeddings": "Q8_0"},
        {"file": "Aurora-7B-Q3_K_S.gguf", "split": False, "advice": "not recommended"},
    ]
    assert reasons(reading) == [(6, "'small' is not a figure with a unit")]


def test_a_row_that_disagrees_with_its_files_name_is_noted() -> None:
    reading = lines("文件名 | 量化类型 | 文件大小 |", "---|---|---|", "Aurora-7B-Q8_0.gguf | Q6_K | 6.00GB |", "Aurora")

    assert reading.results[0].quant == "Q6_K"
    assert reading.results[0].notes == ("the file's name says Q8_0, its row Q6_K: the row is believed",)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("Good quality, *recommended*.", "recommended"),
        ("Low quality, not recommended.", "not recommended"),
        ("Extremely high quality, generally unneeded but max available quant.", "highest quality"),
        ("Legacy format", "legacy"),
        ("Lower quality but usable", "usable"),
        ("Something new", None),
    ],
)
def test_advice_is_a_class_of_its_own_words(text: str, advice: str | None) -> None:
    assert advice_of(text) == advice
