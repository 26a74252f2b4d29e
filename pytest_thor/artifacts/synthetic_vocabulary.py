"""A made-up vocabulary in the layout of Qwen3's: a byte-level BPE tokenizer that every engine can load and use.

First the 256 bytes, then merged tokens, then the special tokens, and unused ones up to the published size.

A model of random weights emits any token. A byte that is no character by itself would be held back by a server until
the character is whole, which may be never, and the request would lose its time to first token; so the ids of such bytes
stand for ASCII text (``byte200``) that no merge leads to. In turn no text beyond ASCII can be put into tokens: engines
leave those characters out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

MERGED_TOKENS_END = 151_643
"""Where Qwen3's special tokens begin; its table is padded from 151,669 to 151,936."""

_OTHER_ENDS = {201_088: 199_998}
"""Where special tokens begin in tables of another size: gpt-oss, whose table has 201,088 rows."""

CONTROL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
ADDED_TOKENS = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# GGUF's token types
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Tokens with their GGUF types, the merges in order of rank, and the ids that mean something."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    end_of_text: int
    end_of_turn: int


def make_vocabulary(size: int) -> Vocabulary:
    """Make a vocabulary of ``size`` tokens; the same one every time."""
    alphabet = _byte_alphabet()
    special = CONTROL_TOKENS + ADDED_TOKENS
    merged_end = _merged_end(size)
    merges = list(islice(_merges(alphabet[ord(" ")]), merged_end - len(alphabet)))
    unused = size - merged_end - len(special)
    halves = {character for byte, character in alphabet.items() if byte >= 0x80}
    bytes_in_order = sorted(alphabet.values())
    return Vocabulary(
        tokens=[
            *(f"byte{token}" if text in halves else text for token, text in enumerate(bytes_in_order)),
            *(left + right for left, right in merges),
            *special,
            *(f"[PAD{number}]" for number in range(size - unused, size)),
        ],
        types=[_NORMAL] * merged_end
        + [_CONTROL] * len(CONTROL_TOKENS)
        + [_USER_DEFINED] * len(ADDED_TOKENS)
        + [_UNUSED] * unused,
        merges=[f"{left} {right}" for left, right in merges],
        end_of_text=merged_end,
        end_of_turn=merged_end + CONTROL_TOKENS.index("<|im_end|>"),
    )


def special_ids(size: int) -> Mapping[str, int]:
    """Return the ids of the tokens that mean something, by their text, in a vocabulary of ``size`` tokens."""
    special = CONTROL_TOKENS + ADDED_TOKENS
    start = _merged_end(size)
    return {text: start + index for index, text in enumerate(special)}


def _merged_end(size: int) -> int:
    return min(_OTHER_ENDS.get(size, MERGED_TOKENS_END), size - len(CONTROL_TOKENS + ADDED_TOKENS))


def _byte_alphabet() -> dict[int, str]:
    """Return the printable character that byte-level BPE writes for each byte, as GPT-2 began it.

    Printable bytes stand for themselves, the others for the characters from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + rank) for rank, byte in enumerate(others)}


def _merges(space: str) -> Iterator[tuple[str, str]]:
    """Yield pairs to merge without end: every string of small letters, shortest first, with and without a space."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    shorter = [space, *letters]
    while True:
        longer = []
        for left in shorter:
            for right in letters:
                yield left, right
                longer.append(left + right)
        shorter = longer
