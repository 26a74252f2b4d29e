"""How many bits a weight takes in a format, and what arithmetic the format may be computed in.

Bits are nominal, with the scales of a group where they are known, and never more than an engine reads: no limit made
from them may lie within an honest figure. An arithmetic is listed where some engine uses it for the format by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_thor.artifacts.gguf_types import FILE_TYPES, GGML_TYPES
from pytest_thor.roofline import Arithmetic

SIXTEEN: tuple[Arithmetic, ...] = ("bf16", "fp16", "fp32")
"""A CPU may compute in 32 bits what is stored in 16."""

_EIGHT_FLOAT: tuple[Arithmetic, ...] = ("fp8", *SIXTEEN)
_EIGHT_INTEGER: tuple[Arithmetic, ...] = ("int8", *SIXTEEN)
EVERY: tuple[Arithmetic, ...] = ("fp4", "fp8", "int8", *SIXTEEN)
"""What a format that is not known may be computed in."""

_FLOATS = {"F32": 32.0, "F16": 16.0, "BF16": 16.0, "FP32": 32.0, "FP16": 16.0}
_GROUP = 128
_BITS_BY_TYPE = {known.name: known.bits_per_weight for known in GGML_TYPES.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFormat:
    """Bits per weight of the matrices, and of the output table; ``experts_only`` leaves the others in 16 bits."""

    bits: float
    head_bits: float = 16.0
    arithmetics: tuple[Arithmetic, ...] = SIXTEEN
    experts_only: bool = False


def format_named(quant: str) -> WeightFormat | None:
    """Return the format that a quant's name stands for, None where the name is not known.

    GGUF types (``Q4_K_M``, at the bits of the smallest tensor type that its mixture holds) and schemes of HF
    checkpoints (``FP8``, ``AWQ-4bit``, ``GPTQ-Int8``, ``W4A16``, ``NVFP4``).
    """
    name = quant.upper().replace("-", "_")
    if name in _FLOATS:
        return WeightFormat(bits=_FLOATS[name], head_bits=min(_FLOATS[name], 16.0))
    if name in FILE_TYPES.values() or name in _BITS_BY_TYPE:
        bits = _smallest_bits(name)
        return WeightFormat(bits=bits, head_bits=bits, arithmetics=arithmetics_of_type(name))
    return _scheme(name)


def arithmetics_of_type(name: str) -> tuple[Arithmetic, ...]:
    """Return what llama.cpp may compute a GGUF tensor type in: whole numbers for all that is quantized."""
    if name in _FLOATS:
        return SIXTEEN
    return EVERY if "FP4" in name else _EIGHT_INTEGER


def _smallest_bits(name: str) -> float:
    """Return the bits of the smallest type of a family: the mixtures go upwards from there."""
    family = re.match(r"I?Q\d|[A-Z]+\d?", name)
    known = [bits for other, bits in _BITS_BY_TYPE.items() if family and other.startswith(family[0])]
    return min(known, default=_BITS_BY_TYPE.get(name, 1.0))


def _scheme(name: str) -> WeightFormat | None:
    if re.search(r"(^|_)(NV)?FP4", name):
        return WeightFormat(bits=4.5, arithmetics=EVERY)
    if re.search(r"(^|_)FP8", name):
        return WeightFormat(bits=8.0, arithmetics=_EIGHT_FLOAT)
    if match := re.search(r"(?:^|_)W(?P<bits>4|8)A(?P<activations>4|8|16)(?:_|$)", name):
        return integers(int(match["bits"]), activation_bits=int(match["activations"]))
    if match := re.search(r"(?:^|_)(?:AWQ|GPTQ)(?:_(?:INT)?(?P<bits>4|8)(?:BIT)?)?(?:_|$)", name):
        return integers(int(match["bits"] or 4))
    return None


def integers(bits: int, *, activation_bits: int = 16, group: int | None = _GROUP) -> WeightFormat:
    """Return the format of whole numbers with a 16-bit scale for each ``group``, None for one for each row."""
    arithmetics = SIXTEEN if activation_bits > 8 else ("fp8", *_EIGHT_INTEGER) if activation_bits == 8 else EVERY
    return WeightFormat(bits=bits + (16 / group if group and group > 0 else 0), arithmetics=arithmetics)


def format_of_config(config: Mapping[str, Any]) -> WeightFormat | None:
    """Return the format that an HF ``quantization_config`` describes, None where the method is not known here."""
    method = str(config.get("quant_method", "")).lower().replace("_", "-")
    if method in {"awq", "gptq", "gptq-marlin", "awq-marlin"}:
        found = integers(_whole(config, "bits") or 4, group=_whole(config, "group_size"))
        return replace(found, head_bits=found.bits) if config.get("lm_head") is True else found
    if method in {"fp8", "fbgemm-fp8"}:
        return _scheme("FP8")
    if method == "mxfp4":
        return WeightFormat(bits=4.25, arithmetics=EVERY, experts_only=True)
    if method == "bitsandbytes":
        return WeightFormat(bits=4.125) if config.get("load_in_4bit") else integers(8, activation_bits=8, group=None)
    if method == "modelopt" or "quant_algo" in config:
        return _scheme(str(config.get("quant_algo", "")).upper())
    return _compressed_tensors(config) if method == "compressed-tensors" else None


def _compressed_tensors(config: Mapping[str, Any]) -> WeightFormat | None:
    sparsity = config.get("sparsity_config")
    if isinstance(sparsity, dict) and sparsity.get("format") not in {None, "dense"}:
        return None  # half of the weights may be neither read nor multiplied
    groups = config.get("config_groups")
    found = [_group(group) for group in groups.values()] if isinstance(groups, dict) else []
    known = [each for each in found if each is not None]
    if not known or len(known) < len(found):
        return None
    smallest = min(known, key=lambda each: each.bits)
    ignored = config.get("ignore")
    keeps_head = isinstance(ignored, list) and any("lm_head" in str(module) for module in ignored)
    arithmetics = tuple(dict.fromkeys(each for found in known for each in found.arithmetics))
    return replace(smallest, head_bits=16.0 if keeps_head else smallest.bits, arithmetics=arithmetics)


def _group(group: object) -> WeightFormat | None:
    weights = group.get("weights") if isinstance(group, dict) else None
    if not isinstance(group, dict) or not isinstance(weights, dict):
        return None
    bits, activations = _whole(weights, "num_bits"), group.get("input_activations")
    activation_bits = (_whole(activations, "num_bits") or 16) if isinstance(activations, dict) else 16
    if weights.get("type") == "float":
        # Weights alone in FP4 are computed in 16 bits today; the peak of FP4 is the more generous one.
        return _scheme("FP8") if bits == 8 else _scheme("NVFP4") if bits == 4 else None
    return integers(bits, activation_bits=activation_bits, group=_whole(weights, "group_size")) if bits else None


def _whole(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
