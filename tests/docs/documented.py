"""The examples of README and docs, as a Markdown reader sees them, each with its page and line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "baselines" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
MATRIX_KEYS = frozenset({"name", "models", "backends", "workloads", "thresholds", "exclude", "overrides", "canary"})
PROGRAMS = frozenset(
    {
        *("pytest", "pytest-thor", ".venv/bin/pytest-thor", "make", "pip", "python", "python3"),
        *(".venv-vllm/bin/pip", "export", "git", "gh", "sudo", "echo", "./config.sh", "bencher", "llama-bench"),
    }
)
"""The first words of a block that is typed into a shell."""

_INLINE = re.compile(r"(?:make|pytest|pytest-thor|python -m benchmarks\.\w+|python benchmarks/\w+\.py)(?: .+|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of code; ``line`` is that of its first line, counted from 1."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def kind(self) -> str:
        """What it is: ``matrix``, ``workflow``, ``python``, ``shell``, ``json``, or ``other`` text."""
        words = self.text.removeprefix("$ ").split()
        if self.language == "yaml":
            keys = set(re.findall(r"^(\w+):", self.text, re.MULTILINE))
            return "matrix" if keys and keys <= MATRIX_KEYS else "workflow"
        if self.language == "python":
            return "python"
        if words[0] in PROGRAMS:
            return "shell"
        return "json" if self.text[0] in '{"' else "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command; ``words`` begin with the program. It is typed as it stands, or only named in a sentence."""

    place: str
    page: str
    typed: bool
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.place} {shlex.join(self.words)}"


def blocks() -> tuple[Block, ...]:
    """Return every block of code of every page."""
    return tuple(
        Block(
            page=page.relative_to(ROOT).as_posix(),
            line=(token.map or [0])[0] + (2 if token.type == "fence" else 1),
            language=token.info,
            text=token.content,
        )
        for page in PAGES
        for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
        if token.type in {"fence", "code_block"}
    )


def of_kind(kind: str) -> list[Block]:
    """Return the blocks of a kind."""
    return [block for block in blocks() if block.kind == kind]


def commands(*programs: str) -> list[Command]:
    """Return the commands of these programs, out of blocks and out of `code` in the text."""
    found = [*_commands_of_blocks(), *_commands_in_text()]
    return [command for command in found if command.words[0].removeprefix(".venv/bin/") in programs]


def _commands_of_blocks() -> Iterator[Command]:
    for block in blocks():
        if block.kind != "shell":
            continue
        lines = block.text.replace("\\\n", " ").splitlines()
        for number, line in enumerate(lines):
            # What follows a line that begins with a prompt is what the command printed.
            if block.text.startswith("$ ") and not line.startswith("$ "):
                break
            # Below a command that prints a table, the table is set off by an empty line.
            if not line.strip():
                break
            for words in parted(line.removeprefix("$ ")):
                yield Command(place=f"{block.page}:{block.line + number}", page=block.page, typed=True, words=words)


def _commands_in_text() -> Iterator[Command]:
    for page in PAGES:
        for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
            for child in token.children or ():
                if child.type != "code_inline" or not _INLINE.fullmatch(child.content):
                    continue
                name = page.relative_to(ROOT).as_posix()
                place = f"{name}:{(token.map or [0])[0] + 1}"
                for words in parted(child.content):
                    yield Command(place=place, page=name, typed=False, words=words)


def parted(line: str) -> list[tuple[str, ...]]:
    """Return the commands of a line, each as its words; comments and redirections are left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;"):
            found.append([])
        else:
            found[-1].append(word)
    return [tuple(words) for words in found if words]
