"""Commands beside results: what was run, on which files, under which load."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_thor.published.records import Scalar

Tool: TypeAlias = Literal["llama-bench", "vllm bench serve", "vllm serve"]

_TOOLS: tuple[tuple[Tool, re.Pattern[str]], ...] = (
    ("llama-bench", re.compile(r"\bllama-bench(?:\.exe)?[\"']?\s+-")),
    ("vllm bench serve", re.compile(r"\bvllm\s+bench\s+serve\b|\bbenchmark_serving\.py\b|\bbench_serving\b")),
    ("vllm serve", re.compile(r"\bvllm\s+serve\s+\S|\bvllm\.entrypoints\.(?:openai\.)?api_server\b")),
)
_ARGUMENT = re.compile(r"\b([a-z_]{2,40})=('[^']{0,300}'|[^\s,()]{1,300})")
_LONGEST = 20_000
_LINES = 60

_LENGTHS = (
    ("input_len", ("random-input-len", "input-len", "random-input", "sonnet-input-len")),
    ("output_len", ("random-output-len", "output-len", "random-output", "sonnet-output-len", "sharegpt-output-len")),
    ("num_prompts", ("num-prompts", "num-prompt")),
    ("max_concurrency", ("max-concurrency",)),
)
_SHORT = {"m": "model", "p": "n-prompt", "n": "n-gen", "r": "repetitions", "hf": "hf-repo", "hfr": "hf-repo"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a document, with its options by long name without dashes; ``label`` is what introduces it."""

    index: int
    tool: Tool
    label: str | None
    options: Mapping[str, str]
    argument: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The models that it names, files before short names; none where a script's variable stands there."""
        given = [self.options.get(name, "") for name in ("model", "tokenizer", "hf-repo", "hf-file")]
        if self.tool == "vllm serve" and self.argument:
            given.insert(0, self.argument)
        if self.tool == "llama-bench":
            given = [each for one in given for each in one.split(",")]
        named = [each for each in given if each and "$" not in each]
        return tuple(sorted(named, key=lambda each: "/" not in each and not each.endswith(".gguf")))

    @property
    def load(self) -> dict[str, Scalar]:
        """The load that it asks for, by the names of a matrix."""
        if self.tool != "vllm bench serve":
            return {}
        load: dict[str, Scalar] = {}
        for name, options in _LENGTHS:
            if option := next((option for option in options if option in self.options), None):
                load |= _whole(name, self.options[option])
        rate = self.options.get("request-rate")
        if rate is not None and re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", rate):
            load["request_rate"] = float(rate)
        return load


def command_at(lines: Sequence[str], index: int, label: str | None) -> tuple[Command, int] | None:
    """Read the command that begins at a line, with its continuation lines; return it and the index after it."""
    first = lines[index]
    if len(first) > _LONGEST:
        return None
    if "Namespace(" in first and "num_prompts=" in first:
        options = {name.replace("_", "-"): value.strip("'") for name, value in _ARGUMENT.findall(first)}
        given = {name: value for name, value in options.items() if value not in {"None", "inf"}}
        return Command(index=index, tool="vllm bench serve", label=label, options=given), index + 1
    if not any(word in first for word in ("llama-bench", "vllm", "bench")):
        return None
    end, text = index, ""
    while True:
        part = lines[end].rstrip()
        end += 1
        text += part.removesuffix("\\") + " "
        if not part.endswith("\\") or end >= len(lines) or end - index >= _LINES:
            break
    tool = next((tool for tool, spelling in _TOOLS if spelling.search(text)), None)
    if tool is None:
        return None
    options, argument = _options(_words(text[:_LONGEST]))
    return Command(index=index, tool=tool, label=label, options=options, argument=argument), end


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=False)
    except ValueError:  # a quote that is never closed
        return text.split()


def _options(words: Sequence[str]) -> tuple[dict[str, str], str | None]:
    options: dict[str, str] = {}
    argument: str | None = None
    for position, word in enumerate(words):
        following = words[position + 1] if position + 1 < len(words) else ""
        if re.match(r"--?[A-Za-z]", word):
            name, equals, value = word.lstrip("-").partition("=")
            name = _SHORT.get(name, name).replace("_", "-")
            value = value if equals else "" if following.startswith("-") else following
            options[name] = f"{options[name]},{value}" if name == "model" and options.get(name) else value
        elif word == "serve" and following and not following.startswith("-"):
            argument = following
    return options, argument


def _whole(name: str, written: str) -> dict[str, Scalar]:
    return {name: int(written)} if re.fullmatch(r"[1-9]\d{0,8}", written) else {}
