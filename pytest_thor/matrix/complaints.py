"""A fault of pydantic in a person's words: what was expected, what stands there, the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.names import nearest
from pytest_thor.matrix.scalars import Surprise, resolve
from pytest_thor.matrix.tree import Entries, Items, Leaf, Node, Path, key_position, value_position
from pytest_thor.matrix.validation import Fault

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "nothing",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "union_tag_invalid": "one of {expected_tags}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text like {pattern}",
}
_QUOTED = re.compile(r"'([^']*)'")


def complain(
    faults: Sequence[Fault], root: Node, at: Path, describe: Callable[[Fault], Unknown], found: Findings
) -> None:
    """Note faults of the node at ``at``; those of one value (the branches of a union) become one problem."""
    together: dict[tuple[Path, bool], list[Fault]] = {}
    for fault in faults:
        path = (*at, *fault.path)
        node = fault.node
        if isinstance(node, Leaf) and node.refused:
            continue
        if fault.type == "missing":
            found.add(key_position(root, path), f"{_of(path)}the key {fault.last!r} is missing")
        elif fault.type == "union_tag_not_found":
            found.add(
                key_position(root, path), f"{_of(path)}the key 'kind' is missing: prefill, decode, serving or quality"
            )
        elif fault.type == "extra_forbidden":
            unknown = describe(fault)
            found.add(key_position(root, path), unknown.message(str(path[-1])))
        else:
            together.setdefault((path, fault.of_key), []).append(fault)
    for (path, of_key), group in together.items():
        place = key_position(root, path) if of_key else value_position(root, path)
        found.add(place, _complaint(path, group))


class Unknown:
    """A key that nothing has: what was looked through, and the keys that it has."""

    def __init__(self, holder: str, known: Iterable[str], word: str = "key") -> None:
        self.holder = holder
        self.known = known
        self.word = word

    def message(self, key: str) -> str:
        """Return the complaint about a key."""
        return f"{self.holder} has no {self.word} {key!r}{nearest(key, self.known)}"


def _of(path: Path) -> str:
    return f"{path[-1]}: " if path and isinstance(path[-1], str) else ""


def _complaint(path: Path, faults: list[Fault]) -> str:
    first = faults[0]
    node = first.node
    field = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    if first.of_key or any(fault.type in {"value_error", "assertion_error"} for fault in faults):
        told = next((fault for fault in faults if fault.type in {"value_error", "assertion_error"}), first)
        return re.sub(r"^(Value|Assertion) error, ", "", told.message)
    if any(fault.type == "string_type" for fault in faults) and isinstance(node, Leaf) and isinstance(node.value, bool):
        return f'{field}: unquoted {node.text} is a boolean to YAML 1.1, not text: quote it ("{node.text}")'
    if first.type == "too_short":
        return "{}: at least {min_length} must be named, and there are {actual_length}".format(field, **first.context)
    expected = " or ".join(dict.fromkeys(_expectation(fault) for fault in faults))
    names = [name for fault in faults for name in _QUOTED.findall(_expectation(fault))]
    advice = nearest(node.text, names) if names and isinstance(node, Leaf) and node.text else ""
    if not advice.startswith("; did"):
        advice = _unquote(node)
    if first.type in {"list_type", "tuple_type"} and isinstance(node, Leaf) and node.text:
        advice = f"; write [{_cut(node.text)}]"
    return f"{field}: expected {expected}, got {shown(node)}{advice}"


def _expectation(fault: Fault) -> str:
    phrase = _EXPECTED.get(fault.type)
    context = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value  # a bound of 0.0 is 0
        for name, value in fault.context.items()
    }
    return phrase.format(**context) if phrase else fault.message[:1].lower() + fault.message[1:]


def _unquote(node: Node) -> str:
    """Advise to take the quotes off where they alone make a number or a boolean text."""
    if not (isinstance(node, Leaf) and node.quoted):
        return ""
    try:
        unquoted = resolve(node.text)
    except Surprise:
        return ""
    return "; remove the quotes" if isinstance(unquoted, (int, float)) else ""


def shown(node: Node) -> str:
    """Return how a value is named in a complaint."""
    if isinstance(node, Entries):
        return "a mapping"
    if isinstance(node, Items):
        return "a list"
    if node.quoted:
        return f'"{_cut(node.text)}"'
    return (
        "nothing"
        if node.value is None
        else _cut(node.text)
        if not isinstance(node.value, str)
        else repr(_cut(node.text))
    )


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
