"""A program of llama.cpp on this machine: where it is, which build, and which options it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.engines.llama_options import HelpText
from pytest_thor.engines.locate import find
from pytest_thor.engines.log_tail import last_words
from pytest_thor.engines.process import run_briefly
from pytest_thor.engines.version import ask_version
from pytest_thor.errors import EngineMissing
from pytest_thor.measurement import EngineBuild


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaProgram:
    """A program that was found and starts; one without ``--version`` has neither version nor commit."""

    build: EngineBuild
    help_text: HelpText


def find_llama(
    name: str, override: Path | None, *, read: Callable[[str, str], HelpText], has: tuple[str, ...]
) -> LlamaProgram:
    """Find a program of llama.cpp, an engine of the same name, and ask it for its options and its version.

    ``read`` reads its help, ``has`` are options by which it is told from another program.

    Raises:
        EngineMissing: it is not found, does not start, or is another program.
    """
    path = find(name, name, override)
    printed, ending = run_briefly([str(path), "--help"])
    help_text = read(f"{name} ({path})", printed)
    if not all(map(help_text.first, has)):
        raise EngineMissing(
            f"{path} is no {name} that runs here: its --help lists no {' and '.join(has)} "
            f"({ending.sentence('it', 60)}; {last_words(printed)})"
        )
    version, commit = ask_version(path) if help_text.first("--version") else (None, None)
    build = EngineBuild(name=name, path=str(path), version=version, commit=commit)
    named = f"{name} {version} ({path})" if version else help_text.program
    return LlamaProgram(build=build, help_text=HelpText(program=named, options=help_text.options))
