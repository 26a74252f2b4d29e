"""Tables of quants on offer: a file, its size, and what class of advice its publisher gives."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_thor.published.names import of_path, quant_named
from pytest_thor.published.numbers import UnreadableNumberError, size_bytes
from pytest_thor.published.page import Place
from pytest_thor.published.records import Figure, PublishedResult, Scalar, Unread, unread
from pytest_thor.published.tables import Row, Table

_COLUMNS = {
    "file": ("filename", "file name", "file", "文件名", "文件", "name", "link"),
    "quant": ("quant type", "quant", "type", "量化类型", "quantization", "quant method"),
    "size": ("file size", "size", "文件大小", "大小", "size/gb"),
    "split": ("split", "分割情况", "是否分割"),
    "advice": ("description", "描述", "use case", "notes", "说明"),
}
_BY_TITLE = {title: name for name, titles in _COLUMNS.items() for title in titles}
_ADVICE = (
    ("not recommended", ("不推荐", "not recommended")),
    ("recommended", ("推荐", "recommended")),
    ("highest quality", ("极高质量", "extremely high quality")),
    ("legacy", ("旧格式", "legacy")),
    ("usable", ("可用", "usable")),
    ("full precision", ("完整", "full bf16", "full f16", "full f32", "full precision")),
    ("low quality", ("低质量", "质量较低", "low quality", "lower quality")),
)
"""Classes of advice, and the words that tell of each; the first class that is told wins."""
_Q8_EMBEDDINGS = re.compile(r"Q8_0[^。.;]{0,40}(?:embed|嵌入)|(?:embed|嵌入)[^。.;]{0,40}Q8_0", re.IGNORECASE)
_LINK = re.compile(r"\[([^\[\]]{1,300})\]\([^()]{0,500}\)")


def is_quants(titles: Sequence[str]) -> bool:
    """Say whether a head is that of files on offer."""
    named = {_title(title) for title in titles}
    return "size" in named and "file" in named and bool(named & {"quant", "advice"})


def read_quants(table: Table, place: Place) -> tuple[list[PublishedResult], list[Unread]]:
    """Read every row of a table that :func:`is_quants` knows."""
    results: list[PublishedResult] = []
    problems: list[Unread] = []
    for row in table.rows:
        if row.defect:
            problems.append(unread(row.index, row.text, row.defect))
            continue
        cells = {_title(title) or title: cell for title, cell in zip(table.head, row.cells, strict=True)}
        try:
            results.append(_result(row, cells, place))
        except UnreadableNumberError as error:
            problems.append(unread(row.index, row.text, str(error)))
    return results, problems


def advice_of(text: str) -> str | None:
    """Return the class of advice that a description gives, None where it gives none that is known."""
    said = text.casefold()
    return next((name for name, words in _ADVICE if any(word in said for word in words)), None)


def _result(row: Row, cells: dict[str, str], place: Place) -> PublishedResult:
    file = _LINK.sub(r"\1", cells["file"]).strip("` ")
    written = cells["size"].strip("* ")
    model, quant = of_path(file)
    stated = cells.get("quant", "").strip("*` ")
    notes: tuple[str, ...] = ()
    if stated and quant and (quant_named(stated) or stated.upper()) != quant:
        notes = (f"the file's name says {quant}, its row {stated}: the row is believed",)
    settings: dict[str, Scalar] = {"file": file}
    split = {"true": True, "false": False, "是": True, "否": False}.get(cells.get("split", "").casefold())
    if split is not None:
        settings["split"] = split
    description = cells.get("advice", "")
    if advice := advice_of(description):
        settings["advice"] = advice
    if _Q8_EMBEDDINGS.search(description):
        settings["embeddings"] = "Q8_0"
    return PublishedResult(
        source=place.source.name,
        line=row.index + 1,
        kind="file",
        date=place.source.date,
        label=file,
        model=model,
        quant=(quant_named(stated) or stated) if stated else quant,
        headings=place.path,
        settings=settings,
        metrics={"file_bytes": Figure(value=size_bytes(written), unit="B", written=written)},
        notes=notes,
    )


def _title(title: str) -> str | None:
    return _BY_TITLE.get(" ".join(title.split()).strip("*`").casefold())
