"""What devices reach by their makers' figures: memory bandwidth, dense peaks by arithmetic, last-level cache.

The table is ``datasheets.json``, a device a line, so that a figure is reviewed beside its neighbours; each names its
source. Dense means without structured sparsity: half of the figure that is advertised with it. Where a device is faster
with sums in 16 bits than in 32, the faster figure stands, since engines use both. A device that is doubtful is not in
the table: no limit is better than a wrong one. Lower power modes lower the clocks and none is documented to raise one,
so that the figures of a Jetson's MAXN bound them all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path(__file__).with_suffix(".json")
_WORD = re.compile(r"[a-z0-9]+")
_NOT_SAID = frozenset({"nvidia", "developer", "kit", "engineering", "reference"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasheet:
    """One device; ``names`` matches its whole identity in small letters, joined by ``-``, without its maker.

    ``bandwidth`` is in GB/s, peaks in TFLOP/s (TOP/s), the cache in MiB. ``headroom`` is how far the clock may go
    beyond the one that the peaks are given at: GeForce and RTX boards run up to 15 % above their data sheet's boost
    clock, an H100's peaks are those at 1830 MHz where its clock goes to 1980. ``most_memory`` (GB) tells devices apart
    that bear one name: the row holds up to there.
    """

    names: str
    title: str
    bandwidth: float
    cache_mib: float
    source: str
    fp32: float
    fp16: float
    bf16: float | None = None
    int8: float | None = None
    fp8: float | None = None
    fp4: float | None = None
    headroom: float = 1.0
    most_memory: float | None = None


def find(identity: str, memory_bytes: int | None = None) -> Datasheet | None:
    """Return the row of a device by the name that NVML or the device tree gives it, or by its slug."""
    words = "-".join(word for word in _WORD.findall(identity.lower()) if word not in _NOT_SAID)
    for row in DATASHEETS:
        fits = row.most_memory is None or (memory_bytes is not None and memory_bytes <= row.most_memory * 1e9)
        if fits and re.fullmatch(row.names, words):
            return row
    return None


def _rows() -> Iterator[Datasheet]:
    table = json.loads(_TABLE.read_text(encoding="utf-8"))
    for device in table["devices"]:
        note = device.pop("note", None)
        source = table["sources"][device.pop("source")]
        yield Datasheet(**device, source=f"{source} ({note})" if note else source)


DATASHEETS: tuple[Datasheet, ...] = tuple(_rows())
"""Every device that is known, the narrower name first."""
