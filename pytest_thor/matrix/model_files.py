"""One model of a matrix: its format, its shape, and the files that its templates stand for."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_thor.cell import ArtifactFormat, ArtifactReference, Model
from pytest_thor.matrix.declared import DeclaredModel, DeclaredQuant, Position
from pytest_thor.matrix.document import ModelEntry
from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.names import nearest
from pytest_thor.matrix.patterns import quant_names
from pytest_thor.matrix.template import fill, variables
from pytest_thor.matrix.tree import Entries, Items, Leaf, Node, Path, child, entries, key_position, leaves
from pytest_thor.matrix.vocabulary import Vocabulary

FORMATS: tuple[ArtifactFormat, ...] = ("gguf", "hf", "synthetic")
_TEMPLATES = ("gguf", "hf", "hub", "revision")


def check_model(root: Node, path: Path, vocabulary: Vocabulary, findings: Findings) -> bool:
    """Note what is wrong with a model beyond its types, and tell whether nothing is."""
    own = Findings("")
    node = child(child(root, "models") or root, path[-1])
    if isinstance(node, Entries):
        place = key_position(root, path)
        alone = _check_format(place, node, own)
        _check_shape(node, vocabulary, own)
        _check_quants(node, own)
        for key in _TEMPLATES:
            if key in FORMATS and not alone:
                continue  # which of them stays is not known yet
            template = child(node, key)
            if isinstance(template, Leaf) and isinstance(template.value, str) and not template.refused:
                _check_template(key, template, node, own)
    findings.take(own)
    return not own


def declared_model(root: Node, name: str, entry: ModelEntry) -> DeclaredModel:
    """Return a model that ``check_model`` has found nothing against."""
    path = ("models", name)
    format_ = next(format_ for format_ in FORMATS if getattr(entry, format_) is not None)
    written = {quant: {} for quant in entry.quants} if isinstance(entry.quants, list) else entry.quants
    positions = _quant_positions(root, path)
    quants = tuple(
        DeclaredQuant(
            name=quant,
            artifact=_artifact(format_, entry, {"quant": quant, **values}),
            position=positions.get(quant) or key_position(root, path),
        )
        for quant, values in written.items()
    )
    return DeclaredModel(
        model=Model(name=name, architecture=entry.architecture or entry.synthetic),
        format=format_,
        quants=quants,
        position=key_position(root, path),
    )


def _artifact(format_: ArtifactFormat, entry: ModelEntry, values: Mapping[str, str]) -> ArtifactReference:
    location = getattr(entry, format_)
    return ArtifactReference(
        format=format_,
        location=location if format_ == "synthetic" else fill(location, values),
        hub=None if entry.hub is None else fill(entry.hub, values),
        revision=None if entry.revision is None else fill(entry.revision, values),
    )


def _quant_positions(root: Node, path: Path) -> Mapping[str, Position]:
    """Return where each quant of a model stands; of one that stands there twice, the first place."""
    quants = child(child(child(root, "models") or root, path[-1]) or root, "quants")
    if isinstance(quants, Entries):
        return quants.keys
    return {leaf.text: leaf.position for leaf in reversed(tuple(leaves(quants)))}


def _check_format(place: Position, node: Entries, own: Findings) -> bool:
    """Note a model without files or with several kinds of them, and tell whether it has one kind."""
    given = [format_ for format_ in FORMATS if format_ in node.entries]
    if len(given) > 1:
        own.add(node.keys[given[1]], f"a model has one of gguf, hf and synthetic, and this has {' and '.join(given)}")
    elif not given:
        own.add(place, "the model has no files: give it one of gguf (a file), hf (a folder) or synthetic (a shape)")
    for format_ in given:
        value = node.entries[format_]
        if isinstance(value, Leaf) and (value.value is None or not value.text.strip()):
            own.add(node.keys[format_], f"{format_} is empty")
    if "synthetic" in given:
        for key in ("hub", "revision"):
            if key in node.entries:
                own.add(node.keys[key], f"{key} says where files come from, and a synthetic model has none: remove it")
    elif "revision" in node.entries and "hub" not in node.entries:
        own.add(node.keys["revision"], "a revision needs a hub: name the repository")
    return len(given) == 1


def _check_shape(node: Entries, vocabulary: Vocabulary, own: Findings) -> None:
    shapes = {}
    for key in ("architecture", "synthetic"):
        shape = child(node, key)
        if isinstance(shape, Leaf) and shape.text and not shape.refused and isinstance(shape.value, str):
            shapes[key] = shape
            if shape.text not in vocabulary.architectures:
                own.add(
                    shape.position,
                    f"the architecture {shape.text!r} is not known{nearest(shape.text, vocabulary.architectures)}",
                )
    if len(shapes) == 2 and shapes["architecture"].text != shapes["synthetic"].text:
        own.add(
            shapes["architecture"].position,
            f"the architecture of a synthetic model is the shape that it is made in, {shapes['synthetic'].text!r}: "
            "remove this line",
        )


def _check_quants(node: Entries, own: Findings) -> None:
    quants = child(node, "quants")
    if isinstance(quants, Items):
        first: dict[str, Leaf] = {}
        for leaf in leaves(quants):
            if leaf.text in first:
                line, column = first[leaf.text].position
                own.add(
                    leaf.position,
                    f"the quant {leaf.text!r} stands here a second time; first in line {line}, column {column}",
                )
            first.setdefault(leaf.text, leaf)
    for _, _, values in entries(quants):
        for variable, position, _ in entries(values):
            if variable == "quant":
                own.add(position, "the variable 'quant' is always the quant's own name: choose another")


def _check_template(key: str, template: Leaf, node: Entries, own: Findings) -> None:
    try:
        used = variables(template.text)
    except ValueError as error:
        own.add(template.position, f"{key}: {error}")
        return
    values = _values(child(node, "quants"))
    unknown = False
    for name in dict.fromkeys(used):
        lacking = [quant for quant, own_values in values.items() if name not in own_values]
        if lacking:
            unknown = True
            known = {known for own_values in values.values() for known in own_values}
            who = "no quant" if len(lacking) == len(values) else f"the quant {lacking[0]!r} does not, so nothing"
            own.add(template.position, f"{key}: {who} gives {{{name}}} a value{nearest(name, known - {name})}")
    if key in FORMATS and not unknown:
        _check_distinct(key, template, values, own)


def _values(quants: Node | None) -> dict[str, dict[str, str]]:
    """Return the variables of each quant, as far as they are text."""
    written = (
        dict(zip(quant_names(quants), quants.entries.values(), strict=True)) if isinstance(quants, Entries) else {}
    )
    return {
        quant: {
            "quant": quant,
            **{name: leaf.text for name, _, leaf in entries(written.get(quant)) if isinstance(leaf, Leaf)},
        }
        for quant in quant_names(quants)
    }


def _check_distinct(key: str, template: Leaf, values: Mapping[str, Mapping[str, str]], own: Findings) -> None:
    """Note quants of one model that stand for the same files: each would be measured under the other's name."""
    first: dict[str, str] = {}
    for quant, own_values in values.items():
        location = fill(template.text, own_values)
        other = first.setdefault(location, quant)
        if other != quant:
            own.add(
                template.position,
                f"{key}: the quants {other!r} and {quant!r} are both {location!r}: use {{quant}} or a variable of the "
                "quant's own in the path",
            )
            return
