"""Which model and which quant a name means: file names, repositories, headings and llama-bench's own labels."""

from __future__ import annotations

import re

_LONGEST = 200
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_QUANT = re.compile(
    r"[-_. ](?P<quant>"
    r"(?:UD-)?I?Q[1-9]_(?:K_(?:XXL|XL|L|M|S|P)|[A-Z0-9]+(?:_\d){0,2})"
    r"|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|MXFP8|BF16|F16|FP16|F32|FP32"
    r"|FP8(?:-dynamic|-block)?|FP4|INT[48]-W\d{1,2}A\d{1,2}|W\d{1,2}A\d{1,2}"
    r"|(?:GPTQ|AWQ)(?:-INT[2348]|-[2348]bit)?|INT[48]|bnb-[48]bit)$",
    re.IGNORECASE,
)
_SIZE = re.compile(
    r"(?<![A-Za-z0-9.])(\d{1,4}(?:\.\d{1,3})?[BM])(?:[-._](A\d{1,3}(?:\.\d{1,3})?B))?(?![A-Za-z0-9])", re.IGNORECASE
)
_LABEL = re.compile(
    r"(?P<model>\S+(?: \S+){0,3}? (?:\?B|(?:\d+x)?[EA]?\d+(?:\.\d+)?[BMT](?:\.A\d+(?:\.\d+)?B)?))"
    r"(?: (?:mostly |all )?(?P<type>\S.*))?"
)
_FAMILY = re.compile(r"[a-z]+(?:-oss)?[\d.]{0,6}")
_MIXES = {"small": "S", "medium": "M", "large": "L", "extra large": "XL"}
_TYPE = re.compile(
    r"(?P<quant>I?Q\d_[A-Z0-9_]+|TQ\d_\d|MXFP4|NVFP4|BF16|F16|F32)"
    r"(?P<mix> mix)?(?: MoE)?(?: - (?P<size>Small|Medium|Large|Extra Large|[\d.]+ bpw))?(?: ?\(guessed\))?",
    re.IGNORECASE,
)


def split_quant(name: str) -> tuple[str, str | None]:
    """Return a model's name and quant: ``Qwen3-8B-GPTQ-Int4`` is ``Qwen3-8B`` and ``GPTQ-Int4``.

    The ending ``-GGUF`` names a container, not a quant, and is left off.
    """
    bare = _SHARD.sub("", name.strip()[:_LONGEST].removesuffix(".gguf"))
    if bare.upper().endswith(("-GGUF", "_GGUF")):
        bare = bare[:-5]
    match = _QUANT.search(bare)
    if match is None or match.start() == 0:
        return bare, None
    return bare[: match.start()], _quant(match["quant"])


def quant_named(text: str) -> str | None:
    """Return the quant that a text consists of, None where it is something else."""
    _, quant = split_quant(f"x-{text.strip()}")
    return quant


def of_path(path: str) -> tuple[str, str | None]:
    """Return model and quant of a file or folder of weights, or of a repository: its last part names it."""
    repository, colon, tag = path.strip().rpartition(":")
    if colon and "/" in repository and "/" not in tag:
        return of_path(repository)[0], quant_named(tag) or of_path(repository)[1]
    return split_quant(path.strip().rstrip("/").replace("\\", "/").rpartition("/")[2])


def of_label(label: str) -> tuple[str, str | None]:
    """Return model and quant of llama-bench's label: ``qwen3 8B Q4_K - Medium`` is ``qwen3 8B`` in ``Q4_K_M``."""
    match = _LABEL.fullmatch(" ".join(label.split())[:_LONGEST])
    if match is None:
        return label.strip(), None
    written = match["type"] and _TYPE.fullmatch(match["type"])
    if not written:
        return match["model"], None
    quant = written["quant"].upper()
    if written["mix"]:
        return match["model"], {"IQ3_S": "IQ3_M"}.get(quant, quant)
    mix = _MIXES.get((written["size"] or "").casefold())
    return match["model"], f"{quant}_{mix}" if mix else quant


def size_in(name: str) -> str | None:
    """Return the size that a name carries (``30b-a3b``), in lower case; None where it has none or several."""
    found = {"-".join(part.lower() for part in match.groups() if part) for match in _SIZE.finditer(name[:_LONGEST])}
    return found.pop() if len(found) == 1 else None


def contradict(label: str, name: str) -> bool:
    """Say whether two names of one model cannot mean the same: both carry a size, and they differ."""
    one, other = size_in(label), size_in(name)
    return one is not None and other is not None and one != other


def same_family(label: str, name: str) -> bool:
    """Say whether two names begin alike: ``qwen3moe 30B.A3B`` and ``Qwen3-30B-A3B`` with ``qwen3``."""
    one, other = (_FAMILY.match(each.casefold()) for each in (label, name))
    return one is not None and other is not None and one.group(0) == other.group(0)


def model_in(heading: str) -> str | None:
    """Return the one word of a heading that names a model (a name with a size in it), None if there is no such one."""
    words = [word.strip("`*:：,，()（）[]") for word in heading[:_LONGEST].split()]
    named = {word for word in words if size_in(word) and re.match(r"[A-Za-z][\w.]*[-_ ]", word)}
    return named.pop() if len(named) == 1 else None


def _quant(written: str) -> str:
    upper = written.upper()
    if upper.startswith(("INT4-W", "INT8-W")):
        return upper[5:]
    if upper.startswith(("AWQ", "GPTQ")):
        return upper.replace("INT", "Int").replace("BIT", "bit")
    if upper.startswith("BNB"):
        return written.lower()
    return {"FP16": "F16", "FP32": "F32", "MXFP4_MOE": "MXFP4", "INT4": "Int4", "INT8": "Int8"}.get(upper, upper)
