"""The report in Markdown: report.md, the job summary of GitHub Actions, and the comment on a pull request.

What changed comes first, the worst cell on top, then every cell's paragraph behind a click. Where a size is given,
whole entries are left out from the end, and the text says how many.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from pytest_thor.report import gfm
from pytest_thor.report.budget import Budget
from pytest_thor.report.cell_block import OVERVIEW_HEAD, cell_block, overview_row
from pytest_thor.report.document import CellRecord, EngineRecord, ReportDocument
from pytest_thor.report.figures import shown_interval, shown_run_time
from pytest_thor.report.naming import Naming, naming_of
from pytest_thor.report.notes import notes_of
from pytest_thor.report.published_figure import Published
from pytest_thor.report.quant_sheets import quant_sheets
from pytest_thor.report.ranking import WORDS, sign, wants_attention, word, worst_first
from pytest_thor.report.saturation import sweeps_of
from pytest_thor.report.sheets import Sheet, add_sheet
from pytest_thor.report.sweep_sheets import sweep_sheet
from pytest_thor.units import counted, format_percent

STEP_SUMMARY_BYTES = 1024 * 1024
"""What one step may write to ``$GITHUB_STEP_SUMMARY``; GitHub shows nothing of a larger one."""
COMMENT_BYTES = 64_000
"""A comment may have 65,536 characters; so many bytes fit whatever they spell."""
LEAST_BYTES = 16_384
"""Heading, counts and the sentence that says what is left out fit into this."""
_COMMENT_ROWS = 40
_RESERVE_BYTES = 500
_NAMES = 5
_NAME_CHARS = 100
_REASONS = 1_000
_IDS = 500
_QUANTS_SAID = "Each figure beside that of the reference quant; in brackets the 90 % interval of the ratio.\n\n"
_NOTES = 20
_NOTE_CHARS = 2_000
_NOT_WHOLE = frozenset({2, 3, 4, 8})
"""Exit statuses of a run that was interrupted or could not measure all."""


def markdown(document: ReportDocument, *, limit_bytes: int | None = None, published: Published | None = None) -> str:
    """Return the whole report, or as much of it, the worst first, as fits into ``limit_bytes`` of UTF-8.

    ``published`` are figures of others, told in the paragraph of the cell that they belong beside.

    Raises:
        ValueError: the limit is below ``LEAST_BYTES``.
    """
    budget = _begun(document, limit_bytes)
    cells = worst_first(document.cells)
    naming = naming_of(document.cells)
    _overview(budget, [record for record in cells if wants_attention(record)], naming)
    _tables(budget, "Quants side by side", _QUANTS_SAID, ((sheet, "") for sheet in quant_sheets(document)))
    _tables(budget, "Sweeps", "", ((sweep_sheet(sweep, naming), sweep.reason) for sweep in sweeps_of(document.cells)))
    beside = published or {}
    left_out = sum(
        _group(budget, said, list(group), folded=not loud, naming=naming, published=beside)
        for (said, loud), group in groupby(cells, key=lambda record: (word(record), wants_attention(record)))
    )
    _tell_left_out(budget, left_out)
    return budget.text()


def comment(document: ReportDocument, *, limit_bytes: int = COMMENT_BYTES) -> str:
    """Return the comment on a pull request: what wants attention, and its paragraphs as far as they fit.

    Its first line is :func:`marker`, by which the next run finds the comment to put its own in place of.

    Raises:
        ValueError: the limit is below ``LEAST_BYTES``.
    """
    budget = _begun(document, limit_bytes, before=f"{marker(document)}\n")
    loud = [record for record in worst_first(document.cells) if wants_attention(record)]
    naming = naming_of(document.cells)
    _overview(budget, loud, naming, most=_COMMENT_ROWS)
    blocks = (cell_block(record, naming) for record in loud)
    _tell_left_out(budget, len(loud) - budget.add_while_it_fits(blocks, reserve_bytes=_RESERVE_BYTES))
    return budget.text()


def marker(document: ReportDocument) -> str:
    """Return the line that a comment of these matrices on this device begins with, whatever was measured."""
    names = [*sorted({matrix.name for matrix in document.matrix}), document.environment.device]
    slug = "+".join(re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-") for name in names)
    return f"<!-- pytest-thor:{re.sub(r'--+', '-', slug)[:200]} -->"


def _begun(document: ReportDocument, limit_bytes: int | None, *, before: str = "") -> Budget:
    if limit_bytes is not None and limit_bytes < LEAST_BYTES:
        raise ValueError(f"a report in Markdown needs {LEAST_BYTES} bytes, not {limit_bytes}")
    budget = Budget(limit_bytes)
    budget.add(before, _head(document))
    _notes(budget, notes_of(document), kind="WARNING" if document.summary.exit_status in _NOT_WHOLE else "NOTE")
    return budget


def _head(document: ReportDocument) -> str:
    counts = Counter(word(record) for record in document.cells)
    told = [f"{sign(said)} {counts[said]} {said}" for said in WORDS if counts[said]]
    facts = [
        counted(len(document.cells), "cell"),
        _clipped(document.environment.device),
        _clipped(document.environment.power_mode or ""),
        counted(len(document.shards), "shard") if document.shards else "",
        shown_run_time(document),
        *(_build(engine) for engine in document.environment.engines[:_NAMES]),
    ]
    title = ", ".join(_clipped(matrix.name) for matrix in document.matrix[:_NAMES])
    parts = [
        f"## pytest-thor: {title}\n\n",
        f"**{' · '.join(told) or 'no cell was measured'}**\n\n",
        " · ".join(fact for fact in facts if fact) + "\n\n",
    ]
    shift = document.summary.environment
    if shift is not None:
        moved = format_percent(shift.shift, signed=True)
        interval = shown_interval(shift.low, shift.high)
        use = "; the verdicts leave it out" if shift.judged_relative else ""
        parts.append(
            f"> [!WARNING]\n> The cells moved together by {moved} ({interval}){use}. "
            f"{gfm.text(shift.reason[:2_000])}\n\n"
        )
    return "".join(parts)


def _notes(budget: Budget, notes: Sequence[str], *, kind: str) -> None:
    """Add what the run noted; it takes at most half of what is left."""
    if notes:
        half = 0 if budget.left_bytes is None else budget.left_bytes // 2
        lines = [f"> - {gfm.text(note[:_NOTE_CHARS])}\n" for note in notes[:_NOTES]]
        more = f"> - … and {len(notes) - _NOTES} more\n" if len(notes) > _NOTES else ""
        budget.add(f"> [!{kind}]\n", *lines, more, "\n", reserve_bytes=half)


def _overview(budget: Budget, cells: Sequence[CellRecord], naming: Naming, *, most: int | None = None) -> None:
    """Add the table of what wants attention; it takes at most half of what is left."""
    if not cells:
        return
    budget.add("### What wants attention\n\n", OVERVIEW_HEAD)
    half = 0 if budget.left_bytes is None else budget.left_bytes // 2
    rows = (overview_row(record, naming) for record in cells[:most])
    left_out = len(cells) - budget.add_while_it_fits(rows, reserve_bytes=half)
    budget.add("\n" + (f"… and {counted(left_out, 'cell')} more.\n\n" if left_out else ""))


def _tables(budget: Budget, title: str, said: str, sheets: Iterable[tuple[Sheet, str]]) -> None:
    """Add tables with a sentence below each, folded; they take at most a quarter of what is left."""
    found = list(sheets)
    reserve = 0 if budget.left_bytes is None else budget.left_bytes * 3 // 4
    if not found or not budget.add(f"<details><summary>{title}</summary>\n\n{said}", reserve_bytes=reserve):
        return
    left_out = 0
    for sheet, sentence in found:
        left_out += add_sheet(budget, sheet, reserve_bytes=reserve)
        if sentence:
            left_out += not budget.add(f"{gfm.text(sentence)}\n\n", reserve_bytes=reserve)
    more = f"… and {counted(left_out, 'row')} more, left out for size.\n\n" if left_out else ""
    budget.add(f"{more}</details>\n\n")


def _group(
    budget: Budget,
    said: str,
    cells: Sequence[CellRecord],
    *,
    folded: bool,
    naming: Naming,
    published: Published,
) -> int:
    """Add the cells of one word, folded as a whole where nobody has to look at them; return how many were left out."""
    title = f"{sign(said)} {said}: {counted(len(cells), 'cell')}"
    opening = f"<details><summary>{title}</summary>\n\n" if folded else f"### {title}\n\n"
    if not budget.add(opening, reserve_bytes=_RESERVE_BYTES):
        return len(cells)
    if said == "skipped":
        left_out = _skipped(budget, cells, naming)
    else:
        blocks = (cell_block(record, naming, published=published.get(record.place, ())) for record in cells)
        left_out = len(cells) - budget.add_while_it_fits(blocks, reserve_bytes=_RESERVE_BYTES)
    if folded:
        budget.add("\n</details>\n\n")
    return left_out


def _skipped(budget: Budget, cells: Sequence[CellRecord], naming: Naming) -> int:
    """Add one entry per reason, that of most cells first; return how many cells were left out."""
    by_reason: dict[str, list[str]] = {}
    for record in cells:
        by_reason.setdefault(record.reason, []).append(naming.full(record))
    told = 0
    for reason, ids in sorted(by_reason.items(), key=lambda item: -len(item[1]))[:_REASONS]:
        names = " ".join(gfm.code(name) for name in ids[:_IDS]) + (" …" if len(ids) > _IDS else "")
        entry = gfm.details(f"{counted(len(ids), 'cell')}: {gfm.text(reason[:2_000])}", names)
        if not budget.add(entry, reserve_bytes=_RESERVE_BYTES):
            break
        told += len(ids)
    return len(cells) - told


def _tell_left_out(budget: Budget, left_out: int) -> None:
    if left_out:
        noun = "paragraph" if left_out == 1 else "paragraphs"
        budget.add(f"\n{left_out} more {noun} left out for size; report.json has every cell.\n")


def _build(engine: EngineRecord) -> str:
    build = " ".join(part for part in (engine.version, engine.commit and f"({engine.commit})") if part)
    return f"{_clipped(engine.name)} {_clipped(build)}".strip()


def _clipped(name: str) -> str:
    return gfm.text(name if len(name) <= _NAME_CHARS else name[: _NAME_CHARS - 1] + "…")
