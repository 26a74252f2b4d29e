"""pydantic's verdict on a tree: the value, and each fault with its place in the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pytest_thor.matrix.tree import Items, Leaf, Node, Path, child, find

M = TypeVar("M", bound=BaseModel)

_TEXT_WANTED = frozenset({"string_type", "literal_error", "enum"})
"""Faults of an unquoted number or boolean that its text may mend: ``flash_attn: on`` is the text "on"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One complaint: ``path`` is the deepest node that exists, ``last`` pydantic's own last step."""

    path: Path
    node: Node
    type: str
    message: str
    context: Mapping[str, Any]
    last: str
    of_key: bool


def validated(model: type[M], root: Node, *, booleans_as_text: bool) -> tuple[M | None, tuple[Fault, ...]]:
    """Return what a tree means to a pydantic model, with the faulty parts left out, and all of its faults.

    Values must be of the type that they are written in (``strict``); an unquoted number (and, if
    ``booleans_as_text``, a boolean) also counts as its text where text is wanted. The first value is None when
    nothing is left without the faulty parts.
    """
    as_text: set[Path] = set()
    removed: set[Path] = set()
    faults: list[Fault] = []
    while True:
        try:
            written = json.dumps(_plain(root, (), as_text, removed))
            return model.model_validate_json(written, strict=True), tuple(faults)
        except ValidationError as error:
            current = [_fault(root, details) for details in error.errors(include_url=False, include_input=False)]
        readable = {fault.path for fault in current if _is_text_at_heart(fault, booleans_as_text)} - as_text
        if readable:
            as_text |= readable
            continue
        faults += [fault for fault in current if not _follows(fault, removed)]
        fresh = {fault.path for fault in current}
        # A fault of a part that is already out of the way concerns what holds it.
        removed |= {path[:-1] if path in removed else path for path in fresh}
        if () in removed:
            return None, tuple(faults)


def _plain(node: Node, path: Path, as_text: set[Path], removed: set[Path]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, Leaf):
        return node.text if path in as_text else node.value
    if isinstance(node, Items):
        steps = [(index, item) for index, item in enumerate(node.items) if (*path, index) not in removed]
        return [_plain(item, (*path, index), as_text, removed) for index, item in steps]
    return {
        key: _plain(value, (*path, key), as_text, removed)
        for key, value in node.entries.items()
        if (*path, key) not in removed
    }


def _fault(root: Node, details: Any) -> Fault:  # noqa: ANN401 - pydantic's ErrorDetails
    """Translate a location: steps that the tree does not have are a union's tags, or keys that are missing."""
    path: Path = ()
    node = root
    for step in details["loc"]:
        below = child(node, step)
        if below is not None:
            path, node = (*path, step), below
    if details["type"] == "union_tag_invalid" and find(root, (*path, "kind")):
        path = (*path, "kind")
        node = find(root, path) or node
    location = details["loc"]
    return Fault(
        path=path,
        node=node,
        type=details["type"],
        message=details["msg"],
        context=details.get("ctx", {}),
        last=str(location[-1]) if location else "",
        of_key=bool(location) and location[-1] == "[key]",
    )


def _is_text_at_heart(fault: Fault, booleans_as_text: bool) -> bool:
    if fault.type not in _TEXT_WANTED or not isinstance(fault.node, Leaf):
        return False
    value = fault.node.value
    return isinstance(value, (int, float)) and (booleans_as_text or not isinstance(value, bool))


def _follows(fault: Fault, removed: set[Path]) -> bool:
    """Tell whether a fault only comes of the removal of a faulty part."""
    return any(path[: len(fault.path)] == fault.path for path in removed)
