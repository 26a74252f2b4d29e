"""Which type llama.cpp gives each tensor of a quant: the tensors that matter most get more bits than the name says.

After ``llama_tensor_get_type`` of llama.cpp, for the families whose shapes are known here. Families with rules of their
own (Falcon, 70B models with eight heads to a key) are not among them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pytest_thor.artifacts.architectures import Architecture
from pytest_thor.artifacts.gguf_types import GGML_TYPES

BASE_TYPES: Mapping[str, str] = {
    **{name: name for name in ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q6_K")},
    **{name: name for name in ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS")},
    **{name: name for name in ("TQ1_0", "TQ2_0", "Q1_0", "Q2_0", "NVFP4")},
    "Q2_K_S": "Q2_K",
    "Q3_K_S": "Q3_K",
    "Q3_K_M": "Q3_K",
    "Q3_K_L": "Q3_K",
    "Q4_K_S": "Q4_K",
    "Q4_K_M": "Q4_K",
    "Q5_K_S": "Q5_K",
    "Q5_K_M": "Q5_K",
    "IQ2_S": "IQ2_XS",
    "IQ2_M": "IQ2_S",
    "IQ3_XS": "IQ3_S",
    "IQ3_M": "IQ3_S",
    "MXFP4": "Q8_0",  # of what is no expert
}
"""The type of most tensors in a GGUF quant."""

_SMALL = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M")
_HEAVY_OUTPUT = "Q6_K"
_FLOATS = ("F32", "F16", "BF16")
_FALLBACKS = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "TQ1_0": "Q4_0", "TQ2_0": "Q4_0"}
"""For rows that are no multiple of a block of 256; everything smaller becomes IQ4_NL."""

_TYPES = {each.name: each for each in GGML_TYPES.values()}
_LAYER = re.compile(r"blk\.(\d+)\.")
_ROLES = ("attn_v", "attn_k", "attn_q", "attn_output", "ffn_down", "ffn_gate", "ffn_up")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a tensor stands, as far as its type depends on that."""

    layer: int
    layers: int
    heads_per_key: int
    experts: int
    imatrix: bool


class _Rule(NamedTuple):
    when: Callable[[_Place], bool]
    type: str


def _always(_: _Place) -> bool:
    return True


def _shared_keys(place: _Place) -> bool:
    return place.heads_per_key >= 4


def _cheap_values(place: _Place) -> bool:
    return place.heads_per_key >= 4 or place.experts >= 4


def _eight_experts(place: _Place) -> bool:
    return place.experts == 8


def _first_eighth(place: _Place) -> bool:
    return place.layer < place.layers // 8


def _first_sixteenth(place: _Place) -> bool:
    return place.layer < place.layers // 16


def _without_imatrix(place: _Place) -> bool:
    return not place.imatrix


def _middle(place: _Place) -> bool:
    return place.layers // 8 <= place.layer < 7 * place.layers // 8


def _outer_and_every_third(place: _Place) -> bool:
    layer, eighth = place.layer, place.layers // 8
    return layer < eighth or layer >= 7 * place.layers // 8 or (layer - eighth) % 3 == 2


def _before(count: int) -> Callable[[_Place], bool]:
    return lambda place: place.layer < count


def _both(*conditions: Callable[[_Place], bool]) -> Callable[[_Place], bool]:
    return lambda place: all(condition(place) for condition in conditions)


_Rules = Mapping[str, tuple[_Rule, ...]]

_VALUES: _Rules = {
    **dict.fromkeys(("IQ2_S", "IQ2_M"), (_Rule(_cheap_values, "Q4_K"), _Rule(_always, "IQ3_S"))),
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS"), (_Rule(_cheap_values, "Q4_K"), _Rule(_always, "Q2_K"))),
    "Q2_K": (_Rule(_eight_experts, "Q8_0"), _Rule(_shared_keys, "Q4_K"), _Rule(_always, "Q3_K")),
    "Q2_K_S": (_Rule(_eight_experts, "Q8_0"), _Rule(_shared_keys, "Q4_K")),
    "IQ3_XXS": (_Rule(_eight_experts, "Q8_0"), _Rule(_shared_keys, "Q4_K"), _Rule(_without_imatrix, "IQ3_S")),
    **dict.fromkeys(("IQ3_XS", "IQ3_S"), (_Rule(_eight_experts, "Q8_0"), _Rule(_shared_keys, "Q4_K"))),
    "IQ3_M": (_Rule(_eight_experts, "Q8_0"), _Rule(_always, "Q4_K")),
    "Q3_K_M": (_Rule(_eight_experts, "Q8_0"), _Rule(_before(2), "Q5_K"), _Rule(_always, "Q4_K")),
    "Q3_K_L": (_Rule(_eight_experts, "Q8_0"), _Rule(_always, "Q5_K")),
    **dict.fromkeys(("IQ4_NL", "IQ4_XS"), (_Rule(_eight_experts, "Q8_0"), _Rule(_shared_keys, "Q5_K"))),
    **dict.fromkeys(("Q4_K_M", "Q5_K_M"), (_Rule(_eight_experts, "Q8_0"), _Rule(_outer_and_every_third, "Q6_K"))),
    "Q4_K_S": (_Rule(_eight_experts, "Q8_0"), _Rule(_before(4), "Q5_K")),
}
_KEYS: _Rules = {
    **dict.fromkeys(_SMALL, (_Rule(_eight_experts, "Q4_K"),)),
    "IQ3_XS": (_Rule(_eight_experts, "Q8_0"), _Rule(_always, "IQ3_XXS")),
    "IQ3_XXS": (_Rule(_eight_experts, "Q8_0"), _Rule(_always, "IQ2_S")),
}
_QUERIES: _Rules = {"IQ3_XS": (_Rule(_always, "IQ3_XXS"),), "IQ3_XXS": (_Rule(_always, "IQ2_S"),)}
_FIVE_OF_EIGHT = (
    *("Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S", "IQ3_M", "IQ4_XS"),
    *_SMALL,
)
_ATTENTION_OUTPUTS = {
    **dict.fromkeys(("IQ1_S", "IQ1_M"), "IQ2_XXS"),
    **dict.fromkeys(("IQ2_S", "IQ2_M", "IQ3_XXS"), "IQ3_S"),
    "Q2_K": "Q3_K",
    "Q3_K_M": "Q4_K",
    "Q3_K_L": "Q5_K",
    "IQ3_M": "Q4_K",
}
_DOWN: _Rules = {
    **dict.fromkeys(("IQ2_S", "IQ2_M"), (_Rule(_first_eighth, "IQ3_S"),)),
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS"), (_Rule(_first_eighth, "Q2_K"),)),
    "Q2_K": (_Rule(_always, "Q3_K"),),
    "Q2_K_S": (_Rule(_first_eighth, "Q4_K"),),
    "IQ3_XXS": (_Rule(_both(_without_imatrix, _first_eighth), "Q4_K"), _Rule(_without_imatrix, "Q3_K")),
    "Q3_K_M": (_Rule(_first_sixteenth, "Q5_K"), _Rule(_always, "Q4_K")),
    "IQ3_M": (_Rule(_first_eighth, "Q4_K"), _Rule(_both(_eight_experts, _outer_and_every_third), "Q4_K")),
    "Q3_K_L": (_Rule(_always, "Q5_K"),),
    **dict.fromkeys(("Q4_K_M", "Q5_K_M"), (_Rule(_outer_and_every_third, "Q6_K"),)),
    **dict.fromkeys(("IQ4_NL", "IQ4_XS"), (_Rule(_both(_without_imatrix, _first_eighth), "Q5_K"),)),
    "Q4_K_S": (_Rule(_first_eighth, "Q5_K"),),
    "Q4_0": (_Rule(lambda place: place.imatrix and _first_eighth(place), "Q4_1"),),
    "Q5_0": (_Rule(lambda place: place.imatrix and _first_eighth(place), "Q5_1"),),
}
_DOWN_OF_PUBLISHER: _Rules = {
    "Q2_K": (_Rule(_outer_and_every_third, "Q3_K"),),
    "Q3_K_M": (_Rule(_outer_and_every_third, "Q4_K"),),
    "Q3_K_L": (_Rule(_outer_and_every_third, "Q5_K"),),
    "Q4_K_S": (_Rule(_outer_and_every_third, "Q5_K"),),
    "Q4_0": (_Rule(_outer_and_every_third, "Q4_1"),),
    "IQ3_XXS": (_Rule(_outer_and_every_third, "IQ3_S"),),
    "IQ2_M": (_Rule(_outer_and_every_third, "IQ3_XXS"),),
    **dict.fromkeys(("IQ2_S", "IQ2_XS", "IQ2_XXS"), ()),
}
"""Where the publisher of the 30B-A3B document mixes the experts otherwise: the wider type for half of the layers."""

_GATES: _Rules = {"IQ3_XS": (_Rule(_middle, "IQ3_XXS"),)}
_RULES: Mapping[str, _Rules] = {
    "attn_v": _VALUES,
    "attn_k": _KEYS,
    "attn_q": _QUERIES,
    "ffn_down": _DOWN,
    "ffn_gate": _GATES,
    "ffn_up": _GATES,
}


class MixedTensor(NamedTuple):
    """One tensor of a quantized model; ``shape`` has the row length first."""

    name: str
    shape: tuple[int, ...]
    type: str

    @property
    def size_bytes(self) -> int:
        """The bytes it takes, before padding."""
        known = _TYPES[self.type]
        return math.prod(self.shape) // known.block_elements * known.block_bytes


def mixture(
    shape: Architecture,
    quant: str,
    *,
    imatrix: bool = False,
    table_type: str | None = None,
    many_as_eight: bool = False,
) -> Iterator[MixedTensor]:
    """Yield every tensor of a shape with the type that llama-quantize gives it in a GGUF quant.

    ``imatrix`` says that an importance matrix was at hand, which changes the type of a few tensors. ``table_type`` is
    what the input and output tables are kept in, where that was asked for. ``many_as_eight`` mixes models of more than
    eight experts as one publisher does, who proposed it to llama.cpp (pull request 12727): by the rules that hold there
    for eight, and with the experts' ``ffn_down`` wider in half of the layers. What it proposes is public, what the
    published files are made with is not: the rules for ``ffn_down`` are those that their sizes leave.

    Raises:
        KeyError: the quant is none of :data:`BASE_TYPES`.
    """
    base = BASE_TYPES[quant]
    for name, dimensions in shape.tensors:
        if quant in _FLOATS:
            type_ = "F32" if _stays(name, dimensions) else quant
        elif _stays(name, dimensions):
            type_ = "F32"
        elif name in {"token_embd.weight", "output.weight"}:
            type_ = table_type or _table(name, quant, base, tied=shape.tied_embeddings)
        else:
            type_ = _of_layer(name, quant, base, shape, imatrix=imatrix, many_as_eight=many_as_eight)
        yield MixedTensor(name, dimensions, _fitting(type_, dimensions[0]))


def _stays(name: str, dimensions: tuple[int, ...]) -> bool:
    """Tell whether a tensor is never quantized: norms, biases, and what chooses the experts."""
    return len(dimensions) == 1 or not name.endswith(".weight") or "ffn_gate_inp" in name


def _table(name: str, quant: str, base: str, *, tied: bool) -> str:
    if name == "output.weight" or tied:
        return "Q5_K" if quant in {*_SMALL, "IQ3_XXS"} else base if base == "Q8_0" else _HEAVY_OUTPUT
    if quant in {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS"}:
        return "Q2_K"
    if quant in {"IQ2_S", "IQ2_M", "IQ3_XXS"}:
        return "IQ3_S"
    return "Q4_K" if quant in {"TQ1_0", "TQ2_0", "Q2_0"} else base


def _of_layer(name: str, quant: str, base: str, shape: Architecture, *, imatrix: bool, many_as_eight: bool) -> str:
    if quant == "MXFP4":
        return "MXFP4" if "_exps" in name else base
    part = name.removesuffix(".weight").rsplit(".", 1)[-1].removesuffix("_exps")
    match = _LAYER.match(name)
    if part not in _ROLES or match is None:
        return base
    experts = shape.experts or 1
    of_publisher = many_as_eight and experts > 8
    place = _Place(
        layer=int(match[1]),
        layers=shape.layers,
        heads_per_key=shape.heads // shape.kv_heads,
        experts=8 if of_publisher else experts,
        imatrix=imatrix,
    )
    if part == "attn_output":
        if place.experts == 8:
            return "Q5_K" if quant in _FIVE_OF_EIGHT else base
        return _ATTENTION_OUTPUTS.get(quant, base)
    rules = _RULES[part].get(quant, ())
    if of_publisher and part == "ffn_down":
        rules = _DOWN_OF_PUBLISHER.get(quant, rules)
    found = next((rule.type for rule in rules if rule.when(place)), None)
    if found is None and part in {"attn_v", "attn_k"} and place.experts == 8 and quant not in _SMALL:
        return "Q8_0"
    return found or base


def _fitting(name: str, row: int) -> str:
    """Return a type, or what replaces it where its blocks do not divide a row."""
    if row % _TYPES[name].block_elements == 0:
        return name
    other = _FALLBACKS.get(name, "IQ4_NL")
    return other if row % _TYPES[other].block_elements == 0 else "F16"
