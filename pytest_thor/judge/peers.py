"""Which cell of a run is much slower than the cells like it: advice for a reader, never a verdict."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_thor.measurement import METRICS
from pytest_thor.units import format_percent, format_quantity

FEWEST = 3
"""Peers that a cell is held against, at least."""

EFFICIENCY_RATIO = 0.25
"""A share of the limit below a quarter of the peers' median is unusual: engines differ by less."""

SPEED_RATIO = 0.15
"""Where the limit is not known, speeds are compared: quants of one model differ by up to four in bits."""

_SPEEDS = ("pp_tps", "tg_tps", "output_tps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One cell: its values by metric, and the share of the limit that each reaches where that is known.

    Cells of one ``workload`` are compared by efficiency; those of one ``architecture`` too by speed.
    """

    id: str
    workload: str
    architecture: str | None
    values: Mapping[str, float]
    efficiencies: Mapping[str, float] = field(default_factory=dict)


def unusually_slow(peers: Sequence[Peer]) -> dict[str, str]:
    """Return a sentence of advice for each cell that is far behind those like it, by the cell's id."""
    found = {peer.id: _advice(peer, peers) for peer in peers}
    return {name: sentence for name, sentence in found.items() if sentence is not None}


def _advice(peer: Peer, peers: Sequence[Peer]) -> str | None:
    others = [other for other in peers if other.id != peer.id and other.workload == peer.workload]
    for metric in _SPEEDS:
        value = peer.values.get(metric)
        if value is None:
            continue
        title = METRICS[metric].title
        if metric in peer.efficiencies:
            usual = _median([other.efficiencies[metric] for other in others if metric in other.efficiencies])
            own = peer.efficiencies[metric]
            if usual is not None and own < EFFICIENCY_RATIO * usual:
                return (
                    f"{title} is {format_percent(own)} of what the device can reach, where cells of the same workload "
                    f"reach {format_percent(usual)}: look for a format that this engine has no fast kernel for, or "
                    "layers that run on the CPU"
                )
            continue
        alike = [other for other in others if peer.architecture and other.architecture == peer.architecture]
        usual = _median([other.values[metric] for other in alike if metric in other.values])
        if usual is not None and value < SPEED_RATIO * usual:
            unit = METRICS[metric].unit
            return (
                f"{title} is {format_quantity(value, unit)}, where other quants of the same model reach "
                f"{format_quantity(usual, unit)} under the same workload: look for a format that this engine has no "
                "fast kernel for, or layers that run on the CPU"
            )
    return None


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if len(values) >= FEWEST else None
