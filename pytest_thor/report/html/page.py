"""The page: its template filled in, with the style, the scripts and the data that it needs inside it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from pytest_thor.plain_text import printable
from pytest_thor.report.document import ReportDocument
from pytest_thor.report.figures import shown_build, shown_run_time
from pytest_thor.report.html import changes, details, rows, tables
from pytest_thor.report.naming import naming_of
from pytest_thor.report.notes import notes_of
from pytest_thor.report.published_figure import Published
from pytest_thor.report.quants import shares_of
from pytest_thor.report.ranking import WORDS, worst_first
from pytest_thor.report.saturation import sweeps_of
from pytest_thor.units import format_bytes

if TYPE_CHECKING:
    from jinja2 import Template

LIBRARIES = ("vendored/d3.min.js", "vendored/plot.umd.min.js")
"""The pictures are drawn by Observable Plot, which stands on d3; their licences are beside them and in the page."""
SCRIPTS = (
    *("units", "cells", "elements", "filter", "bars", "size_and_limit", "efficiency", "latency", "load", "history"),
    *("pictures", "strip", "launches", "detail", "table", "theme", "start"),
)
"""Our own, in the order in which they run."""


def render(document: ReportDocument, *, published: Published | None = None) -> str:
    """Return the report as one HTML page that loads nothing from elsewhere.

    ``published`` are figures of others, shown beside ours. Text from outside is escaped everywhere; besides, the page
    forbids every script but its own and every connection.
    """
    ordered = worst_first(document.cells)
    naming = naming_of(document.cells)
    cards, more_cards = changes.cards(ordered, naming)
    scripts = [*(_text(name) for name in LIBRARIES), _own_scripts()]
    beside = published or {}
    sweeps = sweeps_of(document.cells)
    saturated = {
        (sweep.matrix, point.cell, sweep.device)
        for sweep in sweeps
        for point in sweep.points
        if point.value == sweep.saturation
    }
    shares = shares_of(document)
    data = {
        "fields": rows.FIELDS,
        "shares": rows.SHARES,
        "titles": rows.titles(),
        "words": list(WORDS),
        "cells": [
            rows.row(
                record,
                published=beside.get(record.place, ()),
                shares=shares.get(record.place),
                saturates=record.place in saturated,
            )
            for record in ordered
        ],
    }
    return _template().render(
        document=document,
        title=", ".join(matrix.name for matrix in document.matrix) or "report",
        counts=changes.counts(document),
        moved=changes.moved(document),
        notes=notes_of(document),
        cards=cards,
        more_cards=more_cards,
        calm=changes.calm(ordered),
        skipped=changes.skipped(ordered, naming),
        quants=tables.quant_tables(document),
        sweeps=tables.sweep_tables(sweeps, naming),
        facts={name: _fact(name, value) for name, value in document.environment.fingerprint.items()},
        run_time=shown_run_time(document),
        builds=[shown_build(engine) for engine in document.environment.engines],
        policy=_policy(scripts),
        style=_text("assets/page.css"),
        licences=_text("vendored/LICENSES.txt"),
        scripts=scripts,
        data=rows.script_json(data),
        chunks=details.chunks(ordered),
    )


def _fact(name: str, value: object) -> object:
    """Return a fact of the machine as a person reads it."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_bytes(value) if name.endswith("_bytes") and isinstance(value, int | float) else value


def _policy(scripts: list[str]) -> str:
    """Return the page's Content-Security-Policy: only these scripts run, and nothing is fetched or sent."""
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _own_scripts() -> str:
    parts = [_text(f"assets/{name}.js") for name in SCRIPTS]
    return "(() => {\n'use strict';\n" + "\n".join(parts) + "})();\n"


@cache
def _text(name: str) -> str:
    # Read as the browser does: it makes every line end a newline before it takes a script's hash.
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _shown(value: object) -> object:
    """Return what an expression of the template gives, foreign text without what is no letter; it is escaped next."""
    return printable(value) if type(value) is str else value


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    return environment.from_string(_text("assets/page.html"))
