"""Huge, deep and wide contents, and the memory that each reader may take for them.

python -m tests.fuzz.sizes      # each in a process of its own that may take no more; prints what came of it as JSON
"""

from __future__ import annotations

import json
import os
import resource
import struct
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_thor import journal
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.hf_config import MAX_JSON_BYTES, read_json
from pytest_thor.artifacts.safetensors import read_safetensors
from pytest_thor.artifacts.vocabulary import ordinary_ids
from pytest_thor.baseline import history, store
from pytest_thor.baseline.place import entry_path, history_path
from pytest_thor.collection import vocabulary
from pytest_thor.engines.bench_rows import UnreadableRowError
from pytest_thor.errors import ThorError
from pytest_thor.evaluation_text import read_evaluation_text
from pytest_thor.matrix import load
from pytest_thor.merging.expected import parse_expected
from pytest_thor.published import reference
from pytest_thor.published.page import decode
from pytest_thor.published.read import read
from pytest_thor.report import reading
from pytest_thor.request_trace import read_trace
from pytest_thor.serving.message import MalformedMessage
from tests.fuzz.stored import CELL, DEVICE

MIB = 1 << 20
_SPARSE_BYTES = 10**9
_CPU_S = 60
_OUTCOMES = {0: "within", 3: "more memory", 4: "another error", -24: "too long"}


@dataclass(frozen=True, slots=True)
class Case:
    """What a reader is given: a file of ``content``, made ``size_bytes`` long with zeros that take no room.

    ``at_most_mib`` is what it may take beside what the process has.
    """

    name: str
    place: str
    read: Callable[[Path], object]
    content: bytes
    at_most_mib: int
    size_bytes: int = 0


def _page(content: bytes, at_most_mib: int, name: str) -> Case:
    return Case(
        f"page of {name}", "page.md", lambda path: read(decode(path.read_bytes()), name="page"), content, at_most_mib
    )


def _matrix(path: Path) -> object:
    return load(path, vocabulary())


def _wide(key: str) -> bytes:
    return b'{"%s": [' % key.encode() + b"{}," * 2_100_000 + b"{}]}"


_ENTRY, _HISTORY = (str(path(Path(), DEVICE, CELL.fields)) for path in (entry_path, history_path))
_BOMB = b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 40))
_MERGES = b"".join(b"a%d: &a%d {<<: [%s]}\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 40))
_GGUF = b"GGUF" + struct.pack("<I", 3)
CASES = [
    Case("sparse report", "report.json", reading.read, b"", 1, _SPARSE_BYTES),
    Case("sparse report of two gigabytes", "report.json", reading.read, b"{", 1, 2 * _SPARSE_BYTES),
    Case("deep report", "report.json", reading.read, b"[" * 5 * MIB, 12),
    Case("sparse baseline", _ENTRY, lambda path: store.load(path.parents[2], DEVICE, CELL), b"{", 1, _SPARSE_BYTES),
    Case("deep baseline", _ENTRY, lambda path: store.load(path.parents[2], DEVICE, CELL), b"[" * MIB, 6),
    Case("wide baseline", _ENTRY, lambda path: store.load(path.parents[2], DEVICE, CELL), _wide("a"), 24),
    Case("sparse history", _HISTORY, lambda path: history.load(path.parents[2], DEVICE, CELL), b"{", 1, _SPARSE_BYTES),
    Case("sparse journal", "journal.jsonl", journal.read, b"", 24, 64 * MIB),
    Case("sparse line of a journal", "journal.jsonl", journal.read, b"{}\n{", 24, 64 * MIB),
    Case("journal of short lines", "journal.jsonl", journal.read, b"{}\n" * 100_000, 12),
    Case("sparse published reference", "r.json", reference.load, b"{", 1, _SPARSE_BYTES),
    Case("wide published reference", "r.json", reference.load, _wide("results"), 24),
    Case("sparse model configuration", "config.json", read_json, b"{", 1, MAX_JSON_BYTES + 1),
    Case("wide model configuration", "config.json", read_json, _wide("a"), 24),
    Case(
        "vocabulary of ten million", "config.json", lambda path: ordinary_ids(path.parent), b'{"vocab_size":9999999}', 2
    ),
    Case("sparse safetensors", "a.safetensors", read_safetensors, struct.pack("<Q", 1 << 62), 1, _SPARSE_BYTES),
    Case("wide safetensors", "a.safetensors", read_safetensors, struct.pack("<Q", len(_wide("a"))) + _wide("a"), 24),
    Case("GGUF of countless tensors", "a.gguf", read_header, _GGUF + struct.pack("<QQ", 1 << 62, 1), 1, _SPARSE_BYTES),
    Case("GGUF of many tensors", "a.gguf", read_header, _GGUF + struct.pack("<QQ", 10**7, 0), 4, _SPARSE_BYTES),
    Case("GGUF of many keys", "a.gguf", read_header, _GGUF + struct.pack("<QQ", 0, 10**7), 4, _SPARSE_BYTES),
    Case(
        "GGUF of a huge array of strings",
        "a.gguf",
        read_header,
        _GGUF + struct.pack("<QQQ", 0, 1, 1) + b"a" + struct.pack("<IIQ", 9, 8, 2 << 20),
        80,
        _SPARSE_BYTES,
    ),
    Case("sparse expectation", "e.json", lambda path: parse_expected(str(path)), b"[", 130, _SPARSE_BYTES),
    Case("wide expectation", "e.json", lambda path: parse_expected(str(path)), _wide("include"), 130),
    Case("sparse request trace", "t.jsonl", read_trace, b"{", 1, _SPARSE_BYTES),
    Case("request trace of short lines", "t.jsonl", read_trace, b"11\n" * MIB, 8),
    Case("request trace of one line", "t.jsonl", read_trace, b"[{}" + b",{}" * 2 * MIB, 24),
    Case("sparse evaluation text", "t.txt", read_evaluation_text, b"a", 1, _SPARSE_BYTES),
    Case("sparse matrix", "m.yaml", _matrix, b"a", 4, _SPARSE_BYTES),
    Case("matrix of aliases of aliases", "m.yaml", _matrix, b"a0: &a0 [x, x]\n" + _BOMB, 16),
    Case("matrix of merges of merges", "m.yaml", _matrix, b"a0: &a0 {x: 1}\n" + _MERGES, 16),
    Case("deep matrix", "m.yaml", _matrix, b"a: " + b"[" * 200_000, 64),
    Case("deep mappings", "m.yaml", _matrix, b"{a: " * 100_000, 64),
    Case("wide matrix", "m.yaml", _matrix, b"name: m\nmodels:\n" + b"  m: {gguf: a}\n" * 50_000, 64),
    Case("matrix of one long word", "m.yaml", _matrix, b"name: " + b"a" * (MIB - 10), 32),
    _page(b"a" * 8 * MIB, 40, "one line"),
    _page(b"|" * 8 * MIB, 40, "one row"),
    _page(b"| 1.0 " * MIB, 40, "one row of numbers"),
    _page(b"x" + b" " * 8 * MIB + b"x", 40, "blanks"),
    _page(b"[" * 8 * MIB, 40, "brackets"),
    _page(b'{"model_filename":' * (MIB // 2), 48, "one line of JSON"),
    _page(b"INSERT INTO test (a) VALUES (" + b"''" * 4 * MIB, 200, "one line of SQL"),
    _page(b"\x1b[" * 2 * MIB, 64, "escapes"),
    _page(b"\n" * (MIB // 8), 40, "empty lines"),
]


def main() -> None:
    """Print what came of each case: that it stayed within its memory, or what happened instead."""
    vocabulary()  # what is made once counts for none
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps({case.name: _outcome(case, Path(name) / str(number)) for number, case in enumerate(CASES)}))


def _outcome(case: Case, folder: Path) -> str:
    path = folder / case.place
    path.parent.mkdir(parents=True)
    path.write_bytes(case.content)
    if case.size_bytes:
        os.truncate(path, case.size_bytes)
    child = os.fork()
    if child == 0:
        os._exit(_in_child(case, path))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return _OUTCOMES.get(code, f"ended with {code}")


def _in_child(case: Case, path: Path) -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + case.at_most_mib * MIB
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    try:
        with suppress(ThorError, UnreadableRowError, MalformedMessage):
            case.read(path)
    except MemoryError:
        return 3
    except BaseException:
        traceback.print_exc()
        return 4
    return 0


if __name__ == "__main__":
    main()
