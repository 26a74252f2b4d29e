"""A document and the vocabulary become a Matrix: engines, settings, metrics, models, patterns."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from pytest_thor.cell import Backend, Pairs, Workload
from pytest_thor.matrix.complaints import Unknown, complain
from pytest_thor.matrix.declared import (
    DeclaredBackend,
    DeclaredModel,
    DeclaredWorkload,
    Matrix,
    Override,
    Position,
    Selection,
)
from pytest_thor.matrix.document import REQUIRED, BackendEntry, Document, Match, WorkloadEntry
from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.model_files import check_model, declared_model
from pytest_thor.matrix.names import nearest
from pytest_thor.matrix.patterns import DeclaredNames, check_selection
from pytest_thor.matrix.quality import Quality, quality_workload
from pytest_thor.matrix.serving import Serving
from pytest_thor.matrix.serving_workloads import serving_workloads
from pytest_thor.matrix.tree import EMPTY, Entries, Items, Leaf, Path, child, entries, find, key_position
from pytest_thor.matrix.validation import validated
from pytest_thor.matrix.vocabulary import Vocabulary
from pytest_thor.measurement import SUMMARIES


def resolve_document(
    document: Document, root: Entries, vocabulary: Vocabulary, findings: Findings, *, path: str, sha256: str
) -> Matrix:
    """Return the matrix that a document declares, less the parts that are noted as wrong in ``findings``."""
    _check_required(root, findings)
    _check_thresholds(root, ("thresholds",), vocabulary, findings)
    _check_rules(root, vocabulary, findings)
    return Matrix(
        name=document.name,
        path=path,
        sha256=sha256,
        models=_models(document, root, vocabulary, findings),
        backends=_backends(document, root, vocabulary, findings),
        workloads=_workloads(document, root, FilePath(path).parent, findings),
        thresholds=tuple(sorted(document.thresholds.items())),
        exclude=tuple(_selection(match, root, ("exclude", index)) for index, match in enumerate(document.exclude)),
        overrides=tuple(
            Override(
                match=_selection(entry.match, root, ("overrides", index)),
                thresholds=tuple(sorted(entry.thresholds.items())),
            )
            for index, entry in enumerate(document.overrides)
        ),
        canary=_selection(document.canary, root, ("canary",)) if document.canary else None,
    )


def _check_required(root: Entries, findings: Findings) -> None:
    for key in REQUIRED:
        if key not in root.entries:
            findings.add(Position(1, 1), f"the matrix has no key {key!r}, which it needs")


def _check_thresholds(root: Entries, path: Path, vocabulary: Vocabulary, findings: Findings) -> None:
    """Note thresholds of metrics that are not measured."""
    metrics = vocabulary.metrics
    latencies = sorted(name for name, metric in metrics.items() if metric.unit == "ms")
    for key, position, _ in entries(find(root, path)):
        name, dot, summary = key.partition(".")
        if name not in metrics:
            findings.add(position, f"the metric {name!r} is not known{nearest(name, metrics)}")
        elif dot and name not in latencies:
            findings.add(
                position,
                f"{name} has one value and no summaries: write {name!r} (those with summaries: {', '.join(latencies)})",
            )
        elif dot and summary not in SUMMARIES:
            findings.add(position, f"{name} has no summary {summary!r}{nearest(summary, SUMMARIES)}")


def _check_rules(root: Entries, vocabulary: Vocabulary, findings: Findings) -> None:
    """Note patterns of exclude and overrides that match nothing, and their unknown metrics."""
    declared = DeclaredNames.of(root)
    canary = child(root, "canary")
    if isinstance(canary, Entries):
        check_selection(root, ("canary",), canary, declared, findings)
    for section, below in (("exclude", ()), ("overrides", ("match",))):
        rules = child(root, section)
        for index, rule in enumerate(rules.items if isinstance(rules, Items) else ()):
            path: Path = (section, index, *below)
            node = find(rule, below)
            if node is not None:
                check_selection(root, path, node, declared, findings)
            _check_thresholds(root, (section, index, "thresholds"), vocabulary, findings)


def _models(document: Document, root: Entries, vocabulary: Vocabulary, findings: Findings) -> tuple[DeclaredModel, ...]:
    sound = {
        name
        for name, _, _ in entries(child(root, "models"))
        if check_model(root, ("models", name), vocabulary, findings)
    }
    return tuple(
        declared_model(root, name, entry)
        for name, entry in document.models.items()
        if name in sound and any((entry.gguf, entry.hf, entry.synthetic))
    )


def _backends(
    document: Document, root: Entries, vocabulary: Vocabulary, findings: Findings
) -> tuple[DeclaredBackend, ...]:
    settings = {
        name: _settings(root, ("backends", name), vocabulary, findings)
        for name, _, _ in entries(child(root, "backends"))
    }
    declared = []
    for name, entry in document.backends.items():
        own = settings.get(name)
        if own is not None:
            declared.append(_backend(root, name, entry, own, vocabulary))
    return tuple(declared)


def _backend(root: Entries, name: str, entry: BackendEntry, settings: Pairs, vocabulary: Vocabulary) -> DeclaredBackend:
    traits = vocabulary.engines[entry.engine]
    return DeclaredBackend(
        backend=Backend(name=name, engine=entry.engine, settings=settings, timeout_s=entry.timeout),
        formats=traits.formats,
        kinds=traits.kinds,
        synthetic=traits.synthetic,
        position=key_position(root, ("backends", name)),
    )


def _settings(root: Entries, path: Path, vocabulary: Vocabulary, findings: Findings) -> Pairs | None:
    """Return a backend's settings as its engine understands them, or None where something is wrong with it."""
    engine = find(root, (*path, "engine"))
    if not isinstance(engine, Leaf) or not isinstance(engine.value, str) or engine.refused:
        return None
    traits = vocabulary.engines.get(engine.text)
    if traits is None:
        advice = nearest(engine.text, vocabulary.engines)
        findings.add(engine.position, f"the engine {engine.text!r} is not known{advice}")
        return None
    written = find(root, (*path, "settings"))
    node = written if isinstance(written, Entries) else EMPTY
    settings, faults = validated(traits.settings, node, booleans_as_text=True)
    unknown = Unknown(f"the engine {traits.name}", tuple(traits.settings.model_fields), "setting")
    complain(faults, root, (*path, "settings"), lambda _: unknown, findings)
    if faults or settings is None:
        return None
    stated = settings.model_dump(mode="json", exclude_unset=True)
    return tuple(sorted((name, _hashable(value)) for name, value in stated.items()))


def _hashable(value: Any) -> Any:  # noqa: ANN401 - JSON in, a Setting out
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, dict):
        return tuple(sorted((name, _hashable(item)) for name, item in value.items()))
    return value


def _workloads(document: Document, root: Entries, folder: FilePath, findings: Findings) -> tuple[DeclaredWorkload, ...]:
    declared: dict[str, DeclaredWorkload] = {}
    for name, entry in document.workloads.items():
        for workload in _workloads_of(name, entry, root, folder, findings):
            other = declared.setdefault(workload.workload.name, workload)
            if other is not workload:
                findings.add(
                    workload.position,
                    f"two workloads are named {workload.workload.name!r}, one by a sweep: lines {other.position.line} "
                    f"and {workload.position.line}; rename one",
                )
    return tuple(declared.values())


def _workloads_of(
    name: str, entry: WorkloadEntry, root: Entries, folder: FilePath, findings: Findings
) -> tuple[DeclaredWorkload, ...]:
    path: Path = ("workloads", name)
    if isinstance(entry, Serving):
        return serving_workloads(root, path, entry, folder, findings)
    if isinstance(entry, Quality):
        return (quality_workload(root, path, entry, folder, findings),)
    parameters = tuple(sorted(entry.model_dump(exclude={"kind"}).items()))
    workload = Workload(name=name, kind=entry.kind, parameters=parameters)
    return (DeclaredWorkload(workload=workload, position=key_position(root, path)),)


def _selection(match: Match, root: Entries, path: Path) -> Selection:
    return Selection(
        model=tuple(match.model),
        quant=tuple(match.quant),
        backend=tuple(match.backend),
        workload=tuple(match.workload),
        position=key_position(root, path),
    )
