"""A matrix file is read, and everything wrong with it is told at once."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from pytest_thor.matrix.complaints import Unknown, complain
from pytest_thor.matrix.declared import Matrix, Position
from pytest_thor.matrix.document import WORKLOADS, Document, section_at
from pytest_thor.matrix.expand import report_beside
from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.names import nearest
from pytest_thor.matrix.resolve import resolve_document
from pytest_thor.matrix.tree import Entries, Leaf, Node, find
from pytest_thor.matrix.validation import Fault, validated
from pytest_thor.matrix.vocabulary import Vocabulary
from pytest_thor.matrix.yaml_text import read_yaml

MAX_BYTES = 1024 * 1024
_START = Position(1, 1)


def load(path: Path, vocabulary: Vocabulary) -> Matrix:
    """Return the matrix that a file declares.

    Raises:
        MatrixError: the file cannot be read, or something in it is wrong; it carries every problem, in the
            file's order.
    """
    findings = Findings(str(path))
    content = _content(path, findings)
    text = _text(content, findings)
    if findings:
        raise findings.error()
    root = read_yaml(text, findings)
    matrix = None
    if isinstance(root, Entries):
        document, faults = validated(Document, root, booleans_as_text=False)
        complain(faults, root, (), lambda fault: _unknown(fault, root), findings)
        if document is not None:
            digest = hashlib.sha256(content).hexdigest()
            matrix = resolve_document(document, root, vocabulary, findings, path=str(path), sha256=digest)
    elif root is None or (isinstance(root, Leaf) and root.value is None):
        if not findings:
            findings.add(_START, "the file is empty: a matrix needs name, models, backends and workloads")
    else:
        findings.add(root.position, "a matrix is a mapping with name, models, backends and workloads")
    if findings and matrix:
        report_beside(matrix, findings)
    if findings or matrix is None:
        raise findings.error()
    return matrix


def _content(path: Path, findings: Findings) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            findings.add(_START, "not a file: a matrix is a YAML file")
            return b""
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        findings.add(_START, f"there is no such file{_neighbour(path)}")
        return b""
    except (OSError, ValueError) as error:  # ValueError: a path with NUL in it
        findings.add(_START, f"cannot be read: {getattr(error, 'strerror', None) or error}")
        return b""
    if len(content) > MAX_BYTES:
        findings.add(
            _START, "larger than 1 MiB: a matrix of 10,000 cells needs a few kilobytes; is this the right file?"
        )
        return b""
    return content


def _neighbour(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in {".yaml", ".yml"}]
    except OSError:
        return ""
    return nearest(path.name, names)


def _text(content: bytes, findings: Findings) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        found = "UTF-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else f"the byte 0x{content[error.start]:02x}"
        findings.add(Position(before.count(b"\n") + 1, column), f"not UTF-8 text ({found}): save the file as UTF-8")
        return ""


def _unknown(fault: Fault, root: Node) -> Unknown:
    """Return which mapping of the document has no such key, and which keys it has."""
    holder = fault.path[:-1]
    kind = find(root, (*holder, "kind"))
    written = kind.text if isinstance(kind, Leaf) and kind.text in WORKLOADS else None
    known = tuple(section_at(holder, written).model_fields)
    if not holder:
        return Unknown("the matrix", known)
    if holder[0] == "workloads" and len(holder) > 2:
        return Unknown(str(holder[-1]), known)
    if holder[0] == "workloads":
        return Unknown(f"a {written} workload", known, "parameter")
    named = {"models": "a model", "backends": "a backend", "exclude": "a rule of exclude", "canary": "the canary"}
    return Unknown(named.get(str(holder[0]), "a match" if holder[-1] == "match" else "an override"), known)
