"""Rows in llama-bench's own SQL schema, which llama.cpp's ``scripts/compare-llama-bench.py`` reads.

One row per launch, as llama-bench itself would have written; the script averages those of one build.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_thor.plain_text import printable
from pytest_thor.report.document import ReportDocument
from pytest_thor.report.llama_bench_rows import FIELDS, BenchRow, bench_rows

_COLUMNS = ",\n".join(f"  {name} {kind}" for name, kind in FIELDS.items())
_CREATE = f"CREATE TABLE IF NOT EXISTS llama_bench (\n{_COLUMNS}\n);\n"
_MEASURED = {"avg_ns", "stddev_ns", "avg_ts", "stddev_ts"}


def llama_bench_sql(document: ReportDocument) -> str:
    """Return the text that ``llama-bench -o sql`` prints, to be piped into ``sqlite3 llama-bench.sqlite``."""
    insert = f"INSERT INTO llama_bench ({', '.join(FIELDS)}) VALUES ("  # noqa: S608 - text to be read, every value a literal
    rows = (", ".join(_literal(value) for value in row) for row in _rows(document))
    return "".join([f"{_CREATE}\n", *(f"{insert}{row});\n" for row in rows)])


def llama_bench_sqlite(document: ReportDocument) -> bytes:
    """Return the content of an SQLite database with the table ``llama_bench``."""
    with tempfile.TemporaryDirectory(prefix="pytest-thor-") as folder:
        path = Path(folder) / "llama-bench.sqlite"
        connection = sqlite3.connect(path)
        try:
            connection.execute(_CREATE)
            marks = ", ".join("?" * len(FIELDS))
            connection.executemany(f"INSERT INTO llama_bench VALUES ({marks})", _rows(document))  # noqa: S608 - marks only
            connection.commit()
        finally:
            connection.close()
        return path.read_bytes()


def _rows(document: ReportDocument) -> Iterator[tuple[str | int | float | None, ...]]:
    for row in bench_rows(document):
        yield tuple(_stored(row, name) for name in FIELDS)


def _stored(row: BenchRow, name: str) -> str | int | float | None:
    """Return a column's value; what the engine did not say is empty text.

    The script joins rows where every setting is equal, and in SQL null is equal to nothing: with nulls, two runs of
    a build that does not report one of the settings could not be compared. Empty text is no value either.
    """
    value = row.fields[name]
    if value is None:
        return None if name in _MEASURED else ""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, int | float):
        return value
    return str(value).encode("utf-8", "replace").decode()  # a lone surrogate is no text to SQLite


def _literal(value: str | int | float | None) -> str:  # noqa: PYI041 - what a row holds
    if value is None:
        return "NULL"
    text = f"{value:.6f}" if isinstance(value, float) else printable(str(value)).replace("\n", " ")
    return "'" + text.replace("'", "''") + "'"
