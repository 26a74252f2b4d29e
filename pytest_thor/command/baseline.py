"""``pytest-thor baseline``: look at what is stored, accept what was measured, remove what is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path

import click

from pytest_thor.anchor_changes import Anchors, changes, keyed
from pytest_thor.anchors import decide, entry_of, run_of, verdicts_of, words_of
from pytest_thor.baseline import history, store
from pytest_thor.baseline.entry import BaselineEntry
from pytest_thor.baseline.place import ENTRY, HISTORY, component, entry_path, history_path
from pytest_thor.baseline.survey import Found, entries_at, survey
from pytest_thor.command import baseline_tables as tables
from pytest_thor.command.drawing import show_json
from pytest_thor.errors import BaselineError
from pytest_thor.plain_text import one_line
from pytest_thor.report.document import CellRecord
from pytest_thor.report.reading import read
from pytest_thor.units import counted
from pytest_thor.verdict import Verdict

_ALSO = (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.UNCHANGED)

_root_option = click.option(
    "--baseline",
    "root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("baselines"),
    show_default=True,
    help="the baseline store",
)
_cells_option = click.option(
    "-k", "pattern", default="", help="only cells whose id has this in it, or matches it (*, ?)"
)
_device_option = click.option("--device", default="*", help="only this device (*, ?)")
_json_option = click.option("--json", "as_json", is_flag=True, help="print JSON")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look after the stored baselines: each cell's anchor, which was accepted, and the history of its runs."""


@command.command(short_help="What is stored: anchors, their age and engine, and what became of them since.")
@_root_option
@_cells_option
@_device_option
@_json_option
@click.pass_context
def show(context: click.Context, *, root: Path, pattern: str, device: str, as_json: bool) -> None:
    """Show what is stored: anchors, their age and engine, and what became of them since.

    Exit status: 0, or 1 where a file cannot be used.
    """
    found = [each for each in survey(root) if _matches(each.cell, pattern) and fnmatchcase(each.device, device)]
    now = datetime.now(timezone.utc)
    if as_json:
        show_json([tables.stored_to_json(each) for each in found])
    else:
        tables.show_stored(found, now=now)
    if any(each.problem for each in found):
        context.exit(1)


@command.command(short_help="Make cells of a report their new anchors.")
@click.argument("report", type=click.Path(path_type=Path))
@_root_option
@_cells_option
@click.option("--note", help="why, for whoever reads the diff; it is stored with each anchor")
@click.option(
    "--also",
    type=click.Choice([str(verdict) for verdict in _ALSO]),
    multiple=True,
    help="accept these too; may be repeated",
)
@click.option("--dry-run", is_flag=True, help="only say what would be done")
def accept(*, report: Path, root: Path, pattern: str, note: str | None, also: tuple[str, ...], dry_run: bool) -> None:
    """Store cells of REPORT (report.json, or its folder) as their new anchors.

    What is new, improved or could not be compared is accepted; what is invalid never. What regressed, was inconclusive
    or is unchanged only with --also, and a loss only with a --note that says why it is right.
    """
    if Verdict.REGRESSED in also and not (note and note.strip()):
        raise click.UsageError("--also regressed: say with --note why the loss is accepted; a reviewer will ask")
    records = _selected(read(report).cells, pattern)
    accepted_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    rows, stored = [], 0
    for record in records:
        words = words_of(record)
        existing = store.load_named(root, record.device, words)
        decision = decide(record, existing, also=[Verdict(each) for each in also])
        entry = entry_of(record, accepted_at=accepted_at, replacing=existing, note=note) if decision.accepted else None
        if entry is not None and not dry_run:
            store.save_entry(root, entry)
            history.append_named(root, record.device, words, run_of(record))
        stored += decision.accepted
        rows.append((record, decision, entry))
    tables.show_accepted(rows)
    click.echo(f"{counted(stored, 'cell')} of {len(rows)} {'would be accepted' if dry_run else 'accepted'} in {root}")


@command.command()
@_root_option
@click.option(
    "--matrix",
    "matrices",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    required=True,
    help="the matrix whose cells stay; may be repeated",
)
@click.option("--delete", is_flag=True, help="delete them; without it they are only listed")
def prune(*, root: Path, matrices: tuple[Path, ...], delete: bool) -> None:
    """List or delete what is stored for cells that a matrix no longer has. Other matrices' files stay."""
    gone = sorted({path for matrix in matrices for path in _gone(root, matrix)})
    for path in gone:
        if delete:
            _delete(path)
        click.echo(one_line(str(path)))
    verb = (
        "deleted" if delete else "of cells that are gone; --delete deletes them" if gone else "of cells that are gone"
    )
    click.echo(f"{counted(len(gone), 'file')} {verb}")


@command.command(short_help="What became of the anchors, by default since HEAD.")
@click.argument("before", required=False)
@click.argument("after", required=False)
@_root_option
@_cells_option
@_json_option
def diff(*, before: str | None, after: str | None, root: Path, pattern: str, as_json: bool) -> None:
    """Show what became of the anchors from BEFORE to AFTER, and what was different when they were measured.

    Each is a store, a report, or a revision of git written REV: (the store as it was then). By default HEAD: and the
    store as it is.
    """
    old, _ = _anchors(before or "HEAD:", root)
    new, partial = _anchors(after or str(root), root)
    found = [change for change in changes(old, new, partial=partial) if _matches(change.cell, pattern)]
    if as_json:
        show_json([change.to_json() for change in found])
    else:
        tables.show_changes(found)


def _anchors(place: str, root: Path) -> tuple[Anchors, bool]:
    """Return the anchors that an argument names, and whether they are only some of a store."""
    path = Path(place)
    if place.endswith(":") and not path.exists():
        return {keyed(entry): entry for entry in entries_at(root, place[:-1]).values()}, False
    if path.is_file() or (path / "report.json").is_file():
        records = [record for record in read(path).cells if decide(record, None).accepted]
        measured = (entry_of(record, accepted_at=record.launches[-1].started_at) for record in records)
        return {keyed(entry): entry for entry in measured}, True
    if not path.is_dir():
        raise BaselineError(f"{place}: no store, report or revision; write a revision with a colon, such as main:")
    return {keyed(entry): entry for entry in _usable(survey(path))}, False


def _usable(found: Iterable[Found]) -> Iterator[BaselineEntry]:
    for each in found:
        if each.problem:
            raise BaselineError(each.problem)
        if each.entry is not None:
            yield each.entry


def _selected(records: Sequence[CellRecord], pattern: str) -> list[CellRecord]:
    chosen = [record for record in records if _matches(record.id, pattern)]
    if not chosen:
        raise click.UsageError(f"-k {pattern}: none of the report's {counted(len(records), 'cell')} has this in its id")
    return [record for record in chosen if verdicts_of(record)] or chosen


def _matches(cell: str, pattern: str) -> bool:
    return pattern in cell or fnmatchcase(cell, pattern)


def _gone(root: Path, matrix: Path) -> Iterator[Path]:
    from pytest_thor.collection import vocabulary
    from pytest_thor.matrix import expand, load

    loaded = load(matrix, vocabulary())
    cells = [cell.fields for cell in expand(loaded)]
    for folder in sorted(root.glob(f"*/{_escaped(component(loaded.name))}")):
        device = folder.parent.name
        places = (entry_path, history_path)
        kept = {place(root, device, words).name for words in cells for place in places}
        yield from (path for path in folder.iterdir() if path.name.endswith((ENTRY, HISTORY)) and path.name not in kept)


def _escaped(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BaselineError(f"{path}: cannot be deleted: {error.strerror or error}") from error
