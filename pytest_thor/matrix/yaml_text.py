"""YAML text becomes a tree with positions.

Read from the parser's events, never through a constructor: nothing in the text can make an object, and nothing
is built before its size and depth are known, aliases counted at each use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from pytest_thor.matrix.declared import Position
from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.scalars import Surprise, resolve
from pytest_thor.matrix.tree import Entries, Items, Leaf, Node

MAX_NODES = 20_000
"""Values in a file, those of an alias counted at each use."""
MAX_DEPTH = 20
"""Levels of nesting; a matrix needs five."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser where PyYAML was built with it
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COMMENT = re.compile(r"(?:^|\s)#")
_YAML_BOOLEAN_ADVICE = 'is a boolean to YAML 1.1: quote it ("{}")'


@dataclass(slots=True)
class _List:
    """A list or mapping that is being read; a mapping's children are its keys and values in turn."""

    position: Position
    mapping: bool
    anchor: str | None
    children: list[_Raw] = field(default_factory=list)
    size: int = 1
    height: int = 1
    open: bool = True


@dataclass(frozen=True, slots=True)
class _Alias:
    position: Position
    target: _List | Leaf


_Raw: TypeAlias = "_List | _Alias | Leaf"


class _Stop(Exception):  # noqa: N818 - control flow inside this module
    """Reading cannot go on; the reason has been noted."""


def read_yaml(text: str, findings: Findings) -> Node | None:
    """Return the only document of a text as a tree, or None where it cannot be read to its end.

    What is wrong with it is noted in ``findings``, also where a tree is returned.
    """
    _refuse_characters(text, findings)
    if findings:
        return None
    try:
        root = _Reader(findings).read(text)
    except _Stop:
        return None
    return None if root is None else _Builder(findings).node(root)


def _refuse_characters(text: str, findings: Findings) -> None:
    """Note tabs and control characters, which YAML parsers treat differently from one another."""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if match := _NOT_TEXT.search(line):
            message = f"the character {match[0]!r} is not allowed in YAML"
            findings.add(Position(number, match.start() + 1), message)
    for number, line in enumerate(lines, 1):
        before, tab, _ = line.partition("\t")
        if tab and not _COMMENT.search(before):
            findings.add(Position(number, len(before) + 1), "a tab: YAML is indented and spaced with spaces only")


class _Reader:
    """Turns events into raw nodes, without recursion."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._anchors: dict[str, _List | Leaf] = {}
        self._stack: list[_List] = []
        self._root: _Raw | None = None

    def read(self, text: str) -> _Raw | None:
        documents = 0
        for event in self._events(text):
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents == 2:
                    self._stop(event, "a second document begins here: a matrix is one document, in a file of its own")
            elif isinstance(event, CollectionEndEvent):
                self._close()
            elif isinstance(event, NodeEvent):
                self._open(event)
        return self._root

    def _events(self, text: str) -> Iterator[Event]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
            context = ""
            if error.context and error.context_mark:
                context = f", {error.context} that begins in line {error.context_mark.line + 1}"
            self._findings.add(position, f"not valid YAML: {error.problem}{context}")
            raise _Stop from error
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # the pure parser lets chr() and int() raise
            self._findings.add(Position(1, 1), f"not valid YAML: {error}")
            raise _Stop from error

    def _open(self, event: NodeEvent) -> None:
        position = _position(event)
        if isinstance(event, AliasEvent):
            self._attach(_Alias(position, self._aliased(event)))
            return
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._findings.add(position, f"the tag {tag!r}: a matrix has no tags; quote what shall be text")
        node: _List | Leaf
        if isinstance(event, ScalarEvent):
            node = self._leaf(event, position)
            self._attach(node)
        else:
            if len(self._stack) >= MAX_DEPTH:
                self._stop(event, f"nested more than {MAX_DEPTH} levels deep: a matrix needs five")
            node = _List(position, isinstance(event, MappingStartEvent), event.anchor)
            assert isinstance(event, (MappingStartEvent, SequenceStartEvent))
            self._stack.append(node)
        if event.anchor is not None:
            self._anchors[event.anchor] = node

    def _aliased(self, event: AliasEvent) -> _List | Leaf:
        target = self._anchors.get(event.anchor or "")
        if target is None:
            self._stop(event, f"the alias *{event.anchor} has no anchor &{event.anchor} before it")
        elif isinstance(target, _List) and target.open:
            self._stop(event, f"the alias *{event.anchor} stands inside its own anchor: it would never end")
        else:
            return target
        raise AssertionError  # _stop raises

    def _leaf(self, event: ScalarEvent, position: Position) -> Leaf:
        text = event.value
        if any("\ud800" <= character <= "\udfff" or character == "\0" for character in text):
            self._findings.add(position, "an escape for half a character, or for NUL: neither can be in a matrix")
            return Leaf(position=position, text="?", value="?", quoted=True, refused=True)
        if not event.implicit[0]:  # quoted, a block, or tagged
            return Leaf(position=position, text=text, value=text, quoted=True)
        try:
            return Leaf(position=position, text=text, value=resolve(text))
        except Surprise as surprise:
            self._findings.add(position, str(surprise))
            return Leaf(position=position, text=text, value=text, refused=True)

    def _close(self) -> None:
        node = self._stack.pop()
        node.open = False
        self._attach(node)

    def _attach(self, node: _Raw) -> None:
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        parent.children.append(node)
        whole = node.target if isinstance(node, _Alias) else node
        if isinstance(whole, _List):
            parent.size += whole.size
            parent.height = max(parent.height, whole.height + 1)
        else:
            parent.size += 1
        if parent.size > MAX_NODES:
            self._stop_at(node.position, f"more than {MAX_NODES:,} values, with aliases counted at each use")
        if len(self._stack) + parent.height - 1 > MAX_DEPTH:
            self._stop_at(node.position, f"nested more than {MAX_DEPTH} levels deep through aliases")

    def _stop(self, event: Event, message: str) -> None:
        self._stop_at(_position(event), message)

    def _stop_at(self, position: Position, message: str) -> None:
        self._findings.add(position, message)
        raise _Stop


class _Builder:
    """Turns raw nodes into the tree: aliases followed, merge keys merged, keys checked."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def node(self, raw: _Raw) -> Node:
        target, position = (raw.target, raw.position) if isinstance(raw, _Alias) else (raw, raw.position)
        if isinstance(target, Leaf):
            return Leaf(
                position=position, text=target.text, value=target.value, quoted=target.quoted, refused=target.refused
            )
        if target.mapping:
            return self._mapping(target, position)
        return Items(position=position, items=tuple(self.node(item) for item in target.children))

    def _mapping(self, raw: _List, position: Position) -> Entries:
        entries: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        merged: list[Entries] = []
        for raw_key, raw_value in zip(raw.children[::2], raw.children[1::2], strict=True):
            key = raw_key.target if isinstance(raw_key, _Alias) else raw_key
            value = self.node(raw_value)
            if not isinstance(key, Leaf):
                self._findings.add(raw_key.position, "a key must be a plain name, not a list or a mapping")
                continue
            if key.text == "<<" and not key.quoted:
                merged += self._merged(value)
                continue
            self._check_key(key, raw_key.position)
            if key.text in keys:
                first = keys[key.text]
                self._findings.add(
                    raw_key.position,
                    f"the key {key.text!r} stands here a second time; first in line {first.line}, column "
                    f"{first.column}",
                )
                continue
            entries[key.text] = value
            keys[key.text] = raw_key.position
        for source in merged:  # an earlier source wins over a later one, and a key of the mapping's own over all
            for name, node in source.entries.items():
                if name not in entries:
                    entries[name] = node
                    keys[name] = source.keys[name]
        return Entries(position=position, entries=entries, keys=keys)

    def _check_key(self, key: Leaf, position: Position) -> None:
        if isinstance(key.value, bool):
            self._findings.add(position, f"the key {key.text} {_YAML_BOOLEAN_ADVICE.format(key.text)}")
        elif key.value is None:
            self._findings.add(position, "a key is missing or null: give it a name")

    def _merged(self, value: Node) -> list[Entries]:
        sources = value.items if isinstance(value, Items) else (value,)
        wrong = [source for source in sources if not isinstance(source, Entries)]
        for source in wrong:
            self._findings.add(source.position, "the merge key << takes an alias of a mapping, or a list of them")
        return [source for source in sources if isinstance(source, Entries)]


def _position(event: Event) -> Position:
    mark = event.start_mark
    assert mark  # every event of a parser has one
    return Position(mark.line + 1, mark.column + 1)
