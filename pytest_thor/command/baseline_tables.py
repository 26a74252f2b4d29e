"""What ``pytest-thor baseline`` prints: tables for eyes, plain where nobody watches, and the same as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_thor.anchor_changes import AnchorChange
from pytest_thor.anchors import Decision
from pytest_thor.baseline.entry import BaselineEntry
from pytest_thor.baseline.fingerprint import conditions
from pytest_thor.baseline.history import StoredRun
from pytest_thor.baseline.survey import Found
from pytest_thor.command.drawing import show
from pytest_thor.judge.change_points import change_points
from pytest_thor.judge.describe import Description, describe
from pytest_thor.measurement import GATED
from pytest_thor.past import advice, comparable_runs, levels
from pytest_thor.report.document import CellRecord
from pytest_thor.units import counted, format_percent, format_quantity
from pytest_thor.verdict import MetricJudgement

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN_RUNS = 24
_STYLES = {"slower": "red", "faster": "green"}


def show_stored(found: Sequence[Found], *, now: datetime) -> None:
    """Print what a store holds, a table per device and matrix, with the age of each anchor."""

    def draw(console: Console) -> None:
        for (device, matrix), group in groupby(found, key=lambda each: (each.device, each.matrix)):
            table = Table(title=f"{device} · {matrix}", title_justify="left", box=None, pad_edge=False)
            for name in ("cell", "anchor", "launches", "accepted", "engine", "runs", "history"):
                table.add_column(name, justify="right" if name in {"anchor", "launches", "runs"} else "left")
            for each in group:
                table.add_row(*_stored_row(each, now))
            console.print(table)
            console.print()
        for each in found:
            for sentence in _told(each):
                console.print(sentence, soft_wrap=True)
        if not found:
            console.print("Nothing is stored.")

    show(draw)


def stored_to_json(found: Found) -> dict[str, object]:
    """Return what a store holds for one cell as plain values; raw samples stay in its file."""
    entry, values = found.entry, _values(found)
    return {
        "device": found.device,
        "matrix": found.matrix,
        "cell": found.cell,
        "path": str(found.path),
        "problem": found.problem,
        "accepted_at": entry.accepted_at if entry else None,
        "note": entry.note if entry else None,
        "launches": len(entry.launches) if entry else None,
        "engine": _engine_of(entry) if entry else None,
        "metrics": {plain.metric: plain.value for plain in describe(entry.samples)} if entry else {},
        "history": {"runs": len(found.history), "comparable": len(values), "metric": _main(found), "values": values},
        "change_points": [
            {"index": point.index, "before": point.before, "after": point.after, "change": point.change}
            for point in change_points(values)
        ],
    }


def show_accepted(rows: Sequence[tuple[CellRecord, Decision, BaselineEntry | None]]) -> None:
    """Print what became of each cell of a report that was to be accepted."""

    def draw(console: Console) -> None:
        table = Table(box=None, pad_edge=False)
        for name in ("cell", "", "metric", "from", "to", "change"):
            table.add_column(name, justify="right" if name in {"from", "to", "change"} else "left")
        for record, decision, entry in rows:
            if entry is None:
                table.add_row(record.id, Text(f"kept: {decision.why}", style="dim"))
            elif entry.replaces is None or not entry.replaces.changes:
                table.add_row(record.id, f"stored: {decision.why}")
            else:
                for number, (name, move) in enumerate(sorted(entry.replaces.changes.items())):
                    metric = record.metrics[name]
                    first = ("", "") if number else (record.id, f"replaced: {decision.why}")
                    old, new = (format_quantity(value, metric.unit) for value in (move.before, move.after))
                    change = None if record.verdict == "incomparable" else move.change
                    table.add_row(*first, name, old, new, _change_text(change, metric.better))
        console.print(table)

    show(draw)


def show_changes(found: Sequence[AnchorChange]) -> None:
    """Print what became of the anchors: a table per device and matrix, then what was different, field by field."""

    def draw(console: Console) -> None:
        for (device, matrix), group in groupby(found, key=lambda each: (each.device, each.matrix)):
            table = Table(title=f"{device} · {matrix}", title_justify="left", box=None, pad_edge=False)
            for name in ("cell", "metric", "from", "to", "change", "95 % interval"):
                table.add_column(name, justify="right" if name in {"from", "to", "change"} else "left")
            told: Counter[str] = Counter()
            for each in group:
                _add_change(table, each)
                told.update(_differences_of(each))
            console.print(table)
            console.print()
            for sentence, cells in told.items():
                console.print(f"{sentence} ({counted(cells, 'cell')})", soft_wrap=True)
            if told:
                console.print()
        console.print(_summary(found))

    show(draw)


def sparkline(values: Sequence[float]) -> str:
    """Return the latest values as a line of bars between the least and the greatest; flat where they are equal."""
    shown = values[-_SHOWN_RUNS:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((value - low) / (high - low) * steps) if high > low else steps // 2] for value in shown)


def age(moment: str, now: datetime) -> str:
    """Return how long ago something was, in the unit that fits; the text itself where it is no time."""
    try:
        then = datetime.fromisoformat(f"{moment[:-1]}+00:00" if moment.endswith("Z") else moment)
    except ValueError:
        return moment
    passed = (now - (then if then.tzinfo else then.replace(tzinfo=timezone.utc))).total_seconds()
    if passed < 0:
        return "in the future"
    for unit, seconds in (("year", 31_557_600), ("month", 2_629_800), ("day", 86_400), ("hour", 3600)):
        if passed >= seconds:
            return f"{counted(int(passed // seconds), unit)} ago"
    return "just now"


def comparable(found: Found) -> tuple[StoredRun, ...]:
    """Return the stored runs that were taken under the anchor's conditions, or else the last run's, oldest first."""
    if not found.history:
        return ()
    return comparable_runs(
        found.history, conditions(found.entry.fingerprint) if found.entry else found.history[-1].conditions
    )


def _values(found: Found) -> list[float]:
    return [level.value for level in levels(comparable(found), _main(found))]


def _main(found: Found) -> str:
    """Return the metric that a cell is known by."""
    if found.entry is not None:
        return GATED.get(found.entry.cell.get("kind", ""), ("",))[0]
    known = {name for run in found.history for launch in run.values for name in launch}
    return next((names[0] for names in GATED.values() if names[0] in known), "")


def _stored_row(found: Found, now: datetime) -> tuple[str | Text, ...]:
    values = _values(found)
    entry = found.entry
    if entry is None:
        state = "cannot be used" if found.problem else "no anchor"
        return found.cell, Text(state, style="red"), "", "", "", str(len(found.history)), sparkline(values)
    plain = _plain(entry, _main(found))
    value = format_quantity(plain.value, plain.unit) if plain else "–"
    return (
        found.cell,
        value,
        str(len(entry.launches)),
        age(entry.accepted_at, now),
        _engine_of(entry),
        str(len(values)),
        sparkline(values),
    )


def _plain(entry: BaselineEntry, name: str | None) -> Description | None:
    return next((plain for plain in describe(entry.samples) if plain.metric == name), None)


def _engine_of(entry: BaselineEntry) -> str:
    last = entry.launches[-1]
    commit = f"({last.commit})" if last.commit and last.commit != last.version else None
    return " ".join(filter(None, (last.engine, last.version, commit)))


def _told(found: Found) -> list[Text]:
    if found.problem:
        return [Text(found.problem, style="red")]
    sentences = advice(comparable(found), _main(found))
    told = [Text(f"{found.cell}: {sentence}; this is advice, no verdict") for sentence in sentences]
    if found.entry and found.entry.note:
        told.append(Text(f"{found.cell}: accepted with the note: {found.entry.note}", style="dim"))
    return told


def _add_change(table: Table, change: AnchorChange) -> None:
    if change.state != "changed":
        table.add_row(change.cell, Text(change.state, style="bold"))
        return
    for number, metric in enumerate(change.metrics):
        table.add_row(
            "" if number else change.cell, metric.metric, *_metric_cells(metric, comparable=change.comparable)
        )


def _metric_cells(metric: MetricJudgement, *, comparable: bool) -> tuple[str | Text, ...]:
    old, new = (
        "–" if value is None else format_quantity(value, metric.unit) for value in (metric.baseline, metric.value)
    )
    if not comparable:
        return old, new, Text("–"), Text("not comparable", style="yellow")
    if metric.change_low is None or metric.change_high is None:
        return old, new, _change_text(metric.change, metric.better), ""
    low, high = format_percent(metric.change_low, signed=True), format_percent(metric.change_high, signed=True)
    return old, new, _change_text(metric.change, metric.better), f"{low.removesuffix(' %')} to {high}"


def _change_text(change: float | None, better: str) -> Text:
    if change is None:
        return Text("–")
    worse = (change < 0) == (better == "higher")
    return Text(format_percent(change, signed=True), style=_STYLES["slower" if worse else "faster"] if change else "")


def _differences_of(change: AnchorChange) -> list[str]:
    return [
        f"{'Not comparable: ' if difference.blocks else 'Also different: '}{difference}"
        for difference in change.differences
    ]


def _summary(found: Sequence[AnchorChange]) -> str:
    if not found:
        return "No anchor differs."
    apart = sum(not each.comparable for each in found if each.state == "changed")
    states = Counter(str(each.state) for each in found)
    if apart:
        states[f"changed ({apart} not comparable)"] = states.pop("changed")
    return (
        f"{counted(len(found), 'anchor')}: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}"
    )
