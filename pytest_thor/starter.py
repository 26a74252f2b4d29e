"""A matrix to start from, written from the models that are there."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from pytest_thor.artifacts.inventory import Inventory, Listed
from pytest_thor.errors import ArtifactMissing

_MOST = 48
_UNSAFE = re.compile(r"[^A-Za-z0-9._@+-]+")
_WORDS_OF_YAML = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_WORKLOADS = {
    "bench": (
        "  pp512: {kind: prefill, n_prompt: 512}",
        "  tg128: {kind: decode, n_gen: 128}",
    ),
    "serving": (
        "  low-load: {kind: serving, input_len: 1024, output_len: 128, num_prompts: 10, max_concurrency: 1}",
        "  high-load: {kind: serving, input_len: 1024, output_len: 128, num_prompts: 64, max_concurrency: 8}",
    ),
}


def starter_matrix(inventory: Inventory) -> str:
    """Return the text of a matrix with every language model of an inventory, its quants together.

    Raises:
        ArtifactMissing: there is no language model in it.
    """
    models = [each for each in inventory.models if each.model.kind == "language" and _is_text(each.location)]
    if not models:
        raise ArtifactMissing("no language model was found to write a matrix of; name other folders")
    formats = {each.model.format for each in models}
    lines = [
        f"# Written from {len(models)} models that were found; docs/matrix.md says what else may stand here.",
        "name: models",
        "",
        "models:",
        *_models(models),
        "",
        "backends:",
    ]
    if "gguf" in formats:
        lines.append("  llama.cpp: {engine: llama-bench, settings: {n_gpu_layers: 99, flash_attn: on}}")
    if "hf" in formats:
        lines.append("  vllm: {engine: vllm, settings: {max_model_len: 4096}, timeout: 1h}")
    lines += ["", "workloads:"]
    if "gguf" in formats:
        lines += _WORKLOADS["bench"]
    if "hf" in formats:
        lines += _WORKLOADS["serving"]
    return "\n".join(lines) + "\n"


def _models(models: Sequence[Listed]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Listed]] = defaultdict(list)
    for each in models:
        groups[(each.model.format, _stem(each))].append(each)
    taken: set[str] = set()
    for (format_, stem), members in groups.items():
        name = _unique(safe(stem), taken)
        yield f"  {_key(name)}:"
        shapes = {each.model.shape for each in members}
        if len(shapes) == 1 and (shape := shapes.pop()) is not None:
            yield f"    architecture: {shape}"
        yield from _quants(format_, members)


def _quants(format_: str, members: Sequence[Listed]) -> Iterator[str]:
    """Yield the files of a model: by its quants' names where these alone tell them apart."""
    taken: set[str] = set()
    names = [(_unique(safe(each.model.quant or "unknown"), taken), each) for each in members]
    templates = {_template(each.location, quant) for quant, each in names}
    if len(templates) == 1 and None not in templates:
        yield f"    {format_}: {_quoted(templates.pop() or '')}"
        yield f"    quants: [{', '.join(_key(quant) for quant, _ in names)}]"
        return
    yield f'    {format_}: "{{file}}"'
    yield "    quants:"
    for quant, each in names:
        yield f"      {_key(quant)}: {{file: {_quoted(each.location)}}}"


def _template(location: str, quant: str) -> str | None:
    """Return a location with its quant replaced by a variable, None where the quant does not stand there once."""
    escaped = location.replace("{", "{{").replace("}", "}}")
    return escaped.replace(quant, "{quant}") if escaped.count(quant) == 1 else None


def _stem(each: Listed) -> str:
    """Return what the quants of one model have in common: the folder, and the name without its quant."""
    path = each.location.rsplit("/", 1)[-1].removesuffix(".gguf")
    path = re.sub(r"-\d{5}-of-\d{5}$", "", path)
    quant = each.model.quant
    if quant:
        path = re.sub(rf"[-._]?{re.escape(quant)}(?![A-Za-z0-9])", "", path, flags=re.IGNORECASE)
    return path or "model"


def safe(text: str) -> str:
    """Return a name that may stand in a test's id: the letters without their marks, the rest as hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _UNSAFE.sub("-", plain).lstrip("._@+-").rstrip("-")[:_MOST].rstrip("-") or "model"


def _is_text(location: str) -> bool:
    """Tell whether a path can be written in a file of UTF-8 text; a name in another encoding cannot."""
    try:
        location.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unique(name: str, taken: set[str]) -> str:
    """Return a name that differs from those taken by more than its case."""
    number, found = 1, name
    while found.lower() in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found.lower())
    return found


def _key(name: str) -> str:
    """Return a safe name as it may stand in YAML: quoted where it would mean something else than text."""
    return _quoted(name) if name[0].isdigit() or name.lower() in _WORDS_OF_YAML else name


def _quoted(text: str) -> str:
    """Return text as YAML's double-quoted scalar, with everything escaped that does not print."""
    letters = "".join(each if each.isprintable() and each not in '"\\' else _escaped(each) for each in text)
    return '"' + letters.replace("##[", "##\\x5b") + '"'  # a runner of GitHub Actions would take it for its command


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08x}" if ord(character) > 0xFFFF else json.dumps(character)[1:-1]
