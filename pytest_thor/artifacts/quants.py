"""The catalogue of quants: what each one is, when to take it, and how large it makes a model.

GGUF quants are llama.cpp's file types and the ``_L`` and ``_XL`` types of publishers, which keep the input and output
tables at Q8_0. HF schemes are those of checkpoints that vLLM serves. Sizes follow the mixing rules of llama-quantize
(``quant_mixture``); docs/models.md says how near they come to published files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from pytest_thor.artifacts.architectures import Architecture
from pytest_thor.artifacts.gguf_types import GGML_TYPES
from pytest_thor.artifacts.quant_mixture import BASE_TYPES, mixture
from pytest_thor.artifacts.weight_formats import WeightFormat, format_named

QuantClass: TypeAlias = Literal["float", "legacy", "K", "I", "ternary", "binary", "mxfp", "integer", "fp8"]
"""``mxfp`` are 4-bit floats with a scale for a small block, MXFP4 and NVFP4; the last two are HF schemes only."""

_TABLE_TYPE = "Q8_0"
_ALIGNMENT = 32
_HEADER_BYTES_PER_TOKEN = 40
"""Of the vocabulary in a GGUF header: a token, its type and its merge (Qwen3's: 39.0, counted)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quant:
    """One quant; ``bits`` are those of a weight in most tensors, scales included.

    ``mixes_as`` is the GGUF file type whose rules choose each tensor's type, None for an HF scheme; ``wide_tables``
    says that the input and output tables are kept at Q8_0 instead. ``wants_imatrix`` marks those that are poor, or
    refused by llama-quantize, without an importance matrix.
    """

    name: str
    format: Literal["gguf", "hf"]
    quant_class: QuantClass
    bits: float
    advice: str
    mixes_as: str | None = None
    wide_tables: bool = False
    wants_imatrix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSize:
    """How large a model is in a quant: its tensors, and the files with their headers."""

    tensor_bytes: int
    file_bytes: int
    parameters: int

    @property
    def bits_per_weight(self) -> float:
        """The bits that a weight takes on average over the whole model."""
        return 8 * self.tensor_bytes / self.parameters


_SMALLEST = "for models that would not fit otherwise; expect a clear loss"
_REPACKED = "llama.cpp repacks it for Arm and AVX while loading, so that prompts read faster on a processor"
# name, class, advice
_GGUF: tuple[tuple[str, QuantClass, str], ...] = (
    ("F32", "float", "as trained or wider: a source to quantize from, nothing to run"),
    ("F16", "float", "all of the quality where there is memory; the source of every other quant"),
    ("BF16", "float", "all of the quality, without clipping what F16 cannot hold; slow on devices without BF16"),
    ("Q8_0", "legacy", "not to be told from the original; rarely needed, the reference to compare others with"),
    ("Q6_K", "K", "nearly perfect: take it where it fits with room to spare"),
    ("Q5_K_M", "K", "high quality; the step between Q4_K_M and Q6_K where memory allows"),
    ("Q5_K_S", "K", "high quality, a little smaller than Q5_K_M"),
    ("Q5_1", "legacy", "older than the K-quants and larger than Q5_K at the same quality"),
    ("Q5_0", "legacy", "older than the K-quants; Q5_K_S is better at the same size"),
    ("Q4_K_M", "K", "the usual choice: good quality at less than a third of BF16"),
    ("Q4_K_S", "K", "a little worse and a little smaller than Q4_K_M"),
    ("Q4_1", "legacy", "like Q4_K_S in quality; worth a try on Apple silicon for its tokens per watt"),
    ("Q4_0", "legacy", f"older than the K-quants; {_REPACKED}"),
    ("IQ4_NL", "I", f"like IQ4_XS, slightly larger; {_REPACKED}"),
    ("IQ4_XS", "I", "decent quality, smaller than Q4_K_S: the first step below it on a GPU"),
    ("Q3_K_L", "K", "usable where memory is short"),
    ("Q3_K_M", "K", "low quality; IQ3_M is better on a GPU"),
    ("Q3_K_S", "K", "low quality; IQ3_XS is smaller and better on a GPU"),
    ("IQ3_M", "I", "like Q3_K_M in quality and smaller; slower than it on a processor"),
    ("IQ3_S", "I", "better than Q3_K_S at its size; slower than it on a processor"),
    ("IQ3_XS", "I", "a little better than Q3_K_S and smaller; slower than it on a processor"),
    ("IQ3_XXS", "I", "about as good as the Q3 types and smaller; slower on a processor"),
    ("Q2_K", "K", f"{_SMALLEST}; IQ2_M is better on a GPU"),
    ("Q2_K_S", "K", _SMALLEST),
    ("IQ2_M", "I", "low quality that often surprises; a GPU's choice over Q2_K"),
    ("IQ2_S", "I", _SMALLEST),
    ("IQ2_XS", "I", _SMALLEST),
    ("IQ2_XXS", "I", _SMALLEST),
    ("IQ1_M", "I", "hardly usable: for very large models only"),
    ("IQ1_S", "I", "hardly usable: for very large models only"),
    ("TQ2_0", "ternary", "for models trained with ternary weights; ruins every other"),
    ("TQ1_0", "ternary", "for models trained with ternary weights, packed tighter and read slower than TQ2_0"),
    ("Q2_0", "binary", "for models trained for it; ruins every other"),
    ("Q1_0", "binary", "for models trained with binary weights; ruins every other"),
    ("MXFP4", "mxfp", "how gpt-oss was trained: take it as published; of other models only the experts become MXFP4"),
    ("NVFP4", "mxfp", "4-bit floats with finer scales; fast where the device multiplies FP4 (Blackwell, Thor)"),
)
_GONE = ("Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8")
_WIDE = {"Q2_K_L": "Q2_K", "Q3_K_XL": "Q3_K_L", "Q4_K_L": "Q4_K_M", "Q5_K_L": "Q5_K_M", "Q6_K_L": "Q6_K"}
_HF: tuple[tuple[str, QuantClass, str], ...] = (
    ("FP8", "fp8", "close to the original, half its size; fast where the device multiplies FP8"),
    ("FP4", "mxfp", "4-bit floats, NVFP4 as a rule; fast where the device multiplies FP4 (Blackwell, Thor)"),
    ("AWQ", "integer", "4-bit whole numbers chosen by activations: the usual 4-bit checkpoint"),
    ("AWQ-4bit", "integer", "4-bit whole numbers chosen by activations: the usual 4-bit checkpoint"),
    ("AWQ-8bit", "integer", "8-bit whole numbers: close to the original, half its size"),
    ("GPTQ-Int4", "integer", "4-bit whole numbers fitted layer by layer"),
    ("GPTQ-Int8", "integer", "8-bit whole numbers fitted layer by layer: close to the original"),
    ("W4A16", "integer", "4-bit weights, 16-bit arithmetic: fast decode, no faster prefill"),
    ("W8A16", "integer", "8-bit weights, 16-bit arithmetic: fast decode, no faster prefill"),
    ("W8A8", "integer", "8-bit weights and activations: fast prefill too"),
    ("W4A4", "mxfp", "4-bit weights and activations: fastest where the device multiplies FP4, check the quality"),
)
_NEED_IMATRIX = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "Q2_K_S"})
_BITS = {each.name: each.bits_per_weight for each in GGML_TYPES.values()}


def _catalogue() -> dict[str, Quant]:
    found = {}
    for name, quant_class, advice in _GGUF:
        found[name] = Quant(
            name=name,
            format="gguf",
            quant_class=quant_class,
            bits=_BITS["MXFP4" if name == "MXFP4" else BASE_TYPES[name]],
            advice=advice,
            mixes_as=name,
            wants_imatrix=name in _NEED_IMATRIX,
        )
    for name, base in _WIDE.items():
        found[name] = Quant(
            name=name,
            format="gguf",
            quant_class="K",
            bits=found[base].bits,
            advice=f"{base} with its input and output tables at {_TABLE_TYPE}: larger, and at best a little better",
            mixes_as=base,
            wide_tables=True,
        )
    for name in _GONE:
        advice = "llama.cpp reads it no longer (since b4282): take Q4_0, which it repacks in the same way while loading"
        found[name] = Quant(
            name=name, format="gguf", quant_class="legacy", bits=_BITS["Q4_0"], advice=advice, mixes_as="Q4_0"
        )
    for name, quant_class, advice in _HF:
        weights = format_named(name)
        assert weights is not None
        found[name] = Quant(name=name, format="hf", quant_class=quant_class, bits=weights.bits, advice=advice)
    return found


QUANTS: Mapping[str, Quant] = MappingProxyType(_catalogue())
"""Every known quant by name, GGUF types first; F16, F32 and BF16 are both, and stand here as GGUF types."""

_FOLDED = {name.upper().replace("-", "_"): quant for name, quant in QUANTS.items()}
_OTHER_NAMES = {
    "MXFP4_MOE": "MXFP4",
    "NVFP4A16": "NVFP4",
    "AWQ_INT4": "AWQ",
    "INT4_W4A16": "W4A16",
    "INT8_W8A16": "W8A16",
}


def known_quant(name: str) -> Quant | None:
    """Return the quant of a name in any spelling (``q4_k_m``, ``gptq_int4``), None where it is not in the catalogue.

    A publisher's own mixture (``UD-Q4_K_XL``) is none: its sizes follow no rule that is published.
    """
    folded = name.upper().replace("-", "_")
    return _FOLDED.get(_OTHER_NAMES.get(folded, folded))


def expected_size(
    shape: Architecture, quant: Quant, *, imatrix: bool = False, many_as_eight: bool = False
) -> ExpectedSize:
    """Return how large a shape is in a quant, as llama-quantize would make it.

    ``imatrix`` says that an importance matrix was used, which changes the types of a few tensors; ``many_as_eight``
    is as of :func:`~.quant_mixture.mixture`. An HF checkpoint keeps both tables and the routers in 16 bits.
    """
    if quant.mixes_as is None:
        return _checkpoint_size(shape, quant)
    table_type = _TABLE_TYPE if quant.wide_tables else None
    tensors = mixture(shape, quant.mixes_as, imatrix=imatrix, table_type=table_type, many_as_eight=many_as_eight)
    sizes = [tensor.size_bytes for tensor in tensors]
    padded = sum(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)
    return ExpectedSize(
        tensor_bytes=sum(sizes),
        file_bytes=padded + _HEADER_BYTES_PER_TOKEN * shape.vocabulary,
        parameters=shape.parameters,
    )


def _checkpoint_size(shape: Architecture, quant: Quant) -> ExpectedSize:
    weights = format_named(quant.name)
    assert weights is not None
    size = math.ceil(sum(math.prod(each) * _bits(name, each, weights) / 8 for name, each in shape.tensors))
    return ExpectedSize(tensor_bytes=size, file_bytes=size, parameters=shape.parameters)


def _bits(name: str, dimensions: tuple[int, ...], weights: WeightFormat) -> float:
    if name in {"token_embd.weight", "output.weight"}:
        return weights.head_bits
    return 16.0 if len(dimensions) == 1 or "ffn_gate_inp" in name else weights.bits
