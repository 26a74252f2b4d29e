"""The patterns of exclude and overrides, held against the names that the matrix declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import translate

from pytest_thor.matrix.declared import matches
from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.names import nearest
from pytest_thor.matrix.points import SWEPT, point_name
from pytest_thor.matrix.tree import Entries, Node, Path, child, entries, key_position, leaves, value_position

WORDS = ("model", "quant", "backend", "workload")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredNames:
    """Every name in a matrix file, those of faulty declarations too, so that one mistake is not told as two."""

    quants_of: Mapping[str, tuple[str, ...]]
    backends: tuple[str, ...]
    workloads: tuple[str, ...]

    @classmethod
    def of(cls, root: Node) -> DeclaredNames:
        """Return the names in a tree."""
        return cls(
            quants_of={name: quant_names(child(model, "quants")) for name, _, model in entries(child(root, "models"))},
            backends=tuple(name for name, _, _ in entries(child(root, "backends"))),
            workloads=tuple(
                each
                for name, _, workload in entries(child(root, "workloads"))
                for each in (name, *_points(name, child(workload, "sweep")))
            ),
        )

    def named(self, word: str) -> tuple[str, ...]:
        """Return the names of one of the four words."""
        if word == "quant":
            return tuple(dict.fromkeys(quant for quants in self.quants_of.values() for quant in quants))
        return {"model": tuple(self.quants_of), "backend": self.backends, "workload": self.workloads}[word]


def quant_names(node: Node | None) -> tuple[str, ...]:
    """Return the quants that a model's ``quants`` names, as a list or as a mapping."""
    if isinstance(node, Entries):
        return tuple(node.entries)
    return tuple(leaf.text for leaf in leaves(node))


def _points(workload: str, sweep: Node | None) -> Iterator[str]:
    for swept in SWEPT:
        for leaf in leaves(child(sweep, swept) if sweep else None):
            if isinstance(leaf.value, int | float):
                yield point_name(workload, swept, leaf.value)


def check_selection(root: Node, path: Path, node: Node, declared: DeclaredNames, findings: Findings) -> None:
    """Note the patterns of a selection that no name matches, and a model and quant that do not go together."""
    if not isinstance(node, Entries):
        return
    if not node.entries:
        findings.add(value_position(root, path), "this matches every cell: name a model, quant, backend or workload")
    unmatched = False
    for word in WORDS:
        names = declared.named(word)
        if not names:  # a complaint of its own
            continue
        for leaf in leaves(child(node, word)):
            if isinstance(leaf.value, bool) or leaf.refused or _means_any(leaf.text, names):
                continue
            unmatched = True
            advice = "" if findings.is_full else nearest(leaf.text, names)
            findings.add(leaf.position, f"no {word} is named {leaf.text!r}{advice}")
    if not unmatched:
        _check_pair(root, path, node, declared, findings)


def _means_any(pattern: str, names: tuple[str, ...]) -> bool:
    meant = re.compile(translate(pattern)).match  # once: fnmatch forgets patterns when there are many
    return any(meant(name) for name in names)


def _check_pair(root: Node, path: Path, node: Entries, declared: DeclaredNames, findings: Findings) -> None:
    models, quants = _patterns(node, "model"), _patterns(node, "quant")
    if not (models and quants):
        return
    of_models = [quant for model, all_of in declared.quants_of.items() if matches(models, model) for quant in all_of]
    if not any(matches(quants, quant) for quant in of_models):
        findings.add(
            key_position(root, (*path, "quant")),
            f"the model {' or '.join(models)} has no quant {' or '.join(quants)}{nearest(quants[0], set(of_models))}",
        )


def _patterns(node: Entries, word: str) -> tuple[str, ...]:
    return tuple(leaf.text for leaf in leaves(child(node, word)))
