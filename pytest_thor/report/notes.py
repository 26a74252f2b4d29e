"""What a reader must know of how a report came about, its own notes and those of its shards."""

from __future__ import annotations

from pytest_thor.report.document import ReportDocument


def notes_of(document: ReportDocument) -> list[str]:
    """Return every note once; one of a shard begins with the shard's name."""
    of_shards = (f"{shard.name}: {note}" for shard in document.shards for note in shard.notes)
    return list(dict.fromkeys([*document.notes, *of_shards]))
