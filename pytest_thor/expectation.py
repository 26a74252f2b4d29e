"""How long cells will probably take, from what is stored of them: for planning, never for judging."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import median
from urllib.parse import unquote

from pytest_thor.baseline import history, store
from pytest_thor.cell import Cell
from pytest_thor.errors import BaselineError
from pytest_thor.judge.history import launch_values
from pytest_thor.judge.policy import launches_planned

START_S = 15.0
"""What an engine start is taken to cost beside the work, where no load time is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One cell: seconds of one launch's work (None: nothing is stored) and of one engine start, and how many starts."""

    work_s: float | None
    start_s: float
    launches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    launches: int
    values: Mapping[str, float]


def expected(
    cells: Sequence[Cell], roots: Mapping[str, Path], *, launches: tuple[int, int]
) -> tuple[str | None, Mapping[Cell, Expected]]:
    """Return what is known of each cell, and of which device: the one of which most of these cells are stored.

    The newest run of a cell's history tells its speed and how many launches it took; where there is none, its anchor
    and the least ``launches``. A cell of which nothing is stored takes the most. Work is repetitions (and one to warm
    up) × tokens / speed, or requests / request rate, or the duration that the workload asks for. What cannot be read
    counts as not stored: the run that needs it will say so. ``roots`` are baseline stores by matrix path.
    """
    device, stored = _best_device(cells, roots)
    prefill: dict[tuple[str, str, str, str], float] = {}
    for cell, known in stored.items():
        prefill[cell.group] = max(prefill.get(cell.group, 0.0), known.values.get("pp_tps", 0.0))
    found = {}
    for cell in cells:
        known_of = stored.get(cell)
        values = known_of.values if known_of else {}
        found[cell] = Expected(
            work_s=_work_s(cell, values, prefill.get(cell.group, 0.0)),
            start_s=values.get("load_s", START_S),
            launches=_launches(cell, known_of, launches),
        )
    return device, found


def _launches(cell: Cell, known: _Stored | None, asked: tuple[int, int]) -> int:
    planned = launches_planned(cell.kind, *asked)
    return min(max(known.launches, planned.least), planned.most) if known else planned.for_baseline


def seconds_of(cells: Iterable[Cell], known: Mapping[Cell, Expected]) -> float | None:
    """Return how long cells that share an engine start take together; None where nothing is stored of any cell at all.

    A cell of which nothing is stored is taken to be as long as the others of its kind, or as all others.
    """
    cells = list(cells)
    works = [_or_typical(cell, known) for cell in cells]
    if not works or any(work is None for work in works):
        return None
    starts = max(known[cell].launches for cell in cells) * max(known[cell].start_s for cell in cells)
    return starts + sum((work or 0.0) * known[cell].launches for cell, work in zip(cells, works, strict=True))


def _or_typical(cell: Cell, known: Mapping[Cell, Expected]) -> float | None:
    own = known[cell].work_s
    if own is not None:
        return own
    others = [(other, each.work_s) for other, each in known.items() if each.work_s is not None]
    alike = [work for other, work in others if other.kind == cell.kind]
    return median(alike or [work for _, work in others]) if others else None


def _best_device(cells: Sequence[Cell], roots: Mapping[str, Path]) -> tuple[str | None, Mapping[Cell, _Stored]]:
    best: tuple[str | None, Mapping[Cell, _Stored]] = (None, {})
    for device in sorted({name for root in set(roots.values()) for name in _devices(root)}):
        stored = {cell: found for cell in cells if (found := _stored(roots[cell.matrix_path], device, cell))}
        if len(stored) > len(best[1]):
            best = (device, stored)
    return best


def _devices(root: Path) -> list[str]:
    try:
        return [unquote(entry.name) for entry in root.iterdir() if entry.is_dir()]
    except OSError:
        return []


def _stored(root: Path, device: str, cell: Cell) -> _Stored | None:
    try:
        runs = history.load(root, device, cell)
        if runs:
            return _Stored(launches=len(runs[-1].values), values=_typical(runs[-1].values))
        entry = store.load(root, device, cell)
    except (BaselineError, OSError):
        return None
    if entry is None:
        return None
    return _Stored(launches=0, values=_typical([launch_values(samples) for samples in entry.samples]))


def _typical(launches: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Return the median of each metric over the launches; what is no possible speed or time is left out."""
    names = {name for values in launches for name in values}
    medians = {name: median(values[name] for values in launches if name in values) for name in names}
    return {name: value for name, value in medians.items() if isfinite(value) and value > 0}


def _work_s(cell: Cell, values: Mapping[str, float], prefill_tps: float) -> float | None:
    asked = dict(cell.workload.parameters)

    def number(name: str) -> float:
        value = asked.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    if cell.kind == "serving":
        duration_s = number("duration_s") + number("ramp_up_s")
        if number("duration_s"):
            return duration_s
        rate = values.get("request_rps")
        return (number("num_prompts") + number("warmup")) / rate if rate else None
    if cell.kind == "quality":
        return None
    if cell.kind == "prefill":
        speed, each = values.get("pp_tps"), number("n_prompt") + number("n_depth")
        once_s = each / speed if speed else None
    else:
        speed = values.get("tg_tps")
        depth_s = number("n_depth") / prefill_tps if prefill_tps else 0.0
        once_s = number("n_gen") / speed + depth_s if speed else None
    return None if once_s is None else once_s * (number("repetitions") + 1)
