"""A matrix file as a tree of values with positions, before anything is believed of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from pytest_thor.cell import Scalar
from pytest_thor.matrix.declared import Position

Path: TypeAlias = "tuple[str | int, ...]"
"""The keys and indices that lead from the root to a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One scalar: its value as YAML 1.1 reads it, and its text as it stands in the file.

    ``refused`` says that a problem with it has been noted already.
    """

    position: Position
    text: str
    value: Scalar
    quoted: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    position: Position
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """A mapping; ``keys`` holds the positions of its keys."""

    position: Position
    entries: Mapping[str, Node]
    keys: Mapping[str, Position]


Node: TypeAlias = "Leaf | Items | Entries"
EMPTY = Entries(position=Position(1, 1), entries=MappingProxyType({}), keys=MappingProxyType({}))


def child(node: Node, step: str | int) -> Node | None:
    """Return a node's child, or None."""
    if isinstance(node, Entries) and isinstance(step, str):
        return node.entries.get(step)
    if isinstance(node, Items) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None


def find(node: Node, path: Path) -> Node | None:
    """Return the node at a path, or None."""
    found: Node | None = node
    for step in path:
        if found is None:
            return None
        found = child(found, step)
    return found


def entries(node: Node | None) -> Iterator[tuple[str, Position, Node]]:
    """Yield a mapping's keys with their positions and values; nothing of anything else."""
    if isinstance(node, Entries):
        for key, value in node.entries.items():
            yield key, node.keys[key], value


def leaves(node: Node | None) -> Iterator[Leaf]:
    """Yield a scalar itself, or the scalars of a list."""
    for item in node.items if isinstance(node, Items) else (node,):
        if isinstance(item, Leaf):
            yield item


def key_position(node: Node, path: Path) -> Position:
    """Return where the last key of a path stands; of a list's item, where the item does.

    Of something that is not there, it is the place of what should hold it.
    """
    if not path:
        return Position(1, 1)
    parent = find(node, path[:-1])
    if isinstance(parent, Entries) and path[-1] in parent.keys:
        return parent.keys[str(path[-1])]
    found = find(node, path)
    return found.position if found else key_position(node, path[:-1])


def value_position(node: Node, path: Path) -> Position:
    """Return where the value at a path stands; of a nested mapping or list, where its key does."""
    found = find(node, path)
    if isinstance(found, Leaf) and (found.text or found.quoted):
        return found.position
    return key_position(node, path)
