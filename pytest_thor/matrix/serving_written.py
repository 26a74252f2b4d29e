"""A serving workload where it stands in the file, for what is said of its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.points import Swept
from pytest_thor.matrix.serving import Serving
from pytest_thor.matrix.tree import Entries, Items, Leaf, Node, Path, find, key_position, value_position
from pytest_thor.request_trace import RequestTrace

Point: TypeAlias = "tuple[Swept, int | float, Path]"
"""A value of a sweep: of which parameter, how much, and where it stands below the workload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingWritten:
    """A serving workload, and where its keys stand; ``trace`` is what its trace holds, if it can be read."""

    root: Entries
    path: Path
    entry: Serving
    node: Entries
    trace: RequestTrace | None
    findings: Findings

    @property
    def given(self) -> Mapping[str, Node]:
        """Every key that stands there, with its value."""
        return self.node.entries

    def refuse_key(self, key: str, message: str) -> None:
        """Note a mistake at a key."""
        self.findings.add(key_position(self.root, (*self.path, key)), message)

    def refuse_value(self, path: Path, message: str) -> None:
        """Note a mistake at a value."""
        self.findings.add(value_position(self.root, (*self.path, *path)), message)

    def miss(self, key: str, advice: str = "") -> None:
        """Note that a key is not there."""
        self.findings.add(key_position(self.root, self.path), f"{self.path[-1]}: the key {key!r} is missing{advice}")

    @property
    def num_prompts(self) -> int | None:
        """How many requests are sent: as many as are asked for, or all of a trace, or None for a duration."""
        if self.trace and "num_prompts" not in self.given and "duration" not in self.given:
            return len(self.trace.requests)
        return self.entry.num_prompts

    def points(self) -> Iterator[Point]:
        """Yield the values of a sweep; of a faulty list, the sound ones."""
        sweep = self.entry.sweep
        if sweep is None:
            return
        swept: Swept = "max_concurrency" if sweep.max_concurrency is not None else "request_rate"
        node = find(self.node, ("sweep", swept))
        if not isinstance(node, Items):
            return
        values = {*(sweep.max_concurrency or ()), *(sweep.request_rate or ())}
        for index, item in enumerate(node.items):
            if isinstance(item, Leaf) and isinstance(item.value, int | float) and item.value in values:
                yield swept, item.value, ("sweep", swept, index)
