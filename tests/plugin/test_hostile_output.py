"""What an engine prints reaches the terminal, the log of a job and the reports as text, and none of it is obeyed."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import unicodedata

import pytest

from tests.plugin.project import Project

HOSTILE = (
    "\x1b]0;mine\x07\x1b]52;c;bWluZQ==\x07\x1b[2J\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\"
    " \u202ea\u200b\x9b31m \b\b\x07\n::error::mine\n  ::stop-commands::mine\n##[add-mask]mine\rover"
)
SAYS = {
    "its log": 'cat "$0.txt" >&2; exit 3',
    "its last step": "printf 'llama-bench: benchmark 1/1: ' >&2; tr -d '\\n\\r' <\"$0.txt\" >&2; echo >&2; exit 3",
    "its output": 'cat "$0.txt"; exec "$0-real" "$@"',
}
ASKED = {
    "its help": 'cat "$0.txt"; exit 2',
    "its version": 'case "$*" in *--version*) printf "version: "; cat "$0.txt"; exit 0;; esac; exec "$0-real" "$@"',
}


def obeyed(text: str) -> set[str]:
    """Return the letters that are none; the colour that pytest itself ends is not looked for."""
    return {letter for letter in text if unicodedata.category(letter) in {"Cc", "Cf", "Cs"}} - {"\n", "\t"}


def commands(text: str) -> list[str]:
    """Return what a runner of GitHub Actions would take for commands."""
    return re.findall(r"(?m)^\s*::.*|^.*##\[.*", text)


def saying(project: Project, place: str) -> None:
    """Let the engine say what is hostile in one of the places where it is listened to."""
    project.engine.rename(project.engine.with_name("llama-bench-real"))
    project.engine.with_name("llama-bench.txt").write_text(HOSTILE + "\n", encoding="utf-8")
    asked = ASKED.get(place, 'exec "$0-real" "$@"')
    says = SAYS.get(place, 'exec "$0-real" "$@"')
    project.engine.write_text(f'#!/bin/sh\ncase "$*" in *--help*|*--version*) {asked};; esac\n{says}\n')
    project.engine.chmod(0o755)


@pytest.mark.parametrize("place", [*SAYS, *ASKED])
@pytest.mark.parametrize("flags", [(), ("-vv", "-l", "--full-trace", "-rA")], ids=["usual", "everything"])
def test_what_an_engine_says_is_shown_and_not_obeyed(project: Project, place: str, flags: tuple[str, ...]) -> None:
    saying(project, place)

    result = project.run(*flags, "--color=no", "--junitxml=junit.xml", "--thor-export=csv", "--thor-export=sql")

    shown = result.stdout.str() + result.stderr.str()
    assert obeyed(shown) == set()
    assert commands(shown) == []
    written = [*(project.root / "thor-report").glob("*"), project.root / "junit.xml"]
    kept = {path.name: path.read_text(encoding="utf-8") for path in written if path.suffix not in {".json", ".jsonl"}}
    assert {"report.md", "report.html", "samples.csv", "llama-bench.sql", "junit.xml"} <= kept.keys()
    for name, text in kept.items():
        vendored = {"\u200b", "\xad"} if name == "report.html" else set()  # in scripts that others wrote
        assert obeyed(text) <= vendored, name
        assert commands(text) == [], name
    if place in {"its log", "its help"}:
        assert "over" in shown  # what was said is told all the same


def test_a_matrix_with_hostile_values_is_refused_in_plain_words(project: Project) -> None:
    project.matrix.write_text(
        "name: small\nmodels: {tiny: {gguf: a.gguf, quants: [F16]}}\n"
        'backends: {b: {engine: llama-bench, settings: {split_mode: "\\e]0;mine\\a\\n::error::mine"}}}\n'
        "workloads: {tg8: {kind: decode, n_gen: 8}}\n",
        encoding="utf-8",
    )

    result = project.run()

    shown = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "split_mode" in shown
    assert obeyed(shown) == set()
    assert commands(shown) == []


def test_a_listing_of_hostile_paths_is_inert_in_every_form(project: Project) -> None:
    text = project.matrix.read_text(encoding="utf-8").replace("tiny/tiny-{quant}.gguf", '"\\e]0;x\\a\\u202e##[error]x"')
    project.matrix.write_text(text, encoding="utf-8")

    for form in ("text", "json", "github"):
        shown = project.run(f"--thor-list={form}").stdout.str()
        assert "tiny" in shown
        assert obeyed(shown) == set()
        assert commands(shown) == []


def test_the_line_that_rewrites_itself_on_a_terminal_is_inert_too(project: Project) -> None:
    saying(project, "its last step")
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *project.arguments]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}

    with subprocess.Popen(command, cwd=project.root, env=environment, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours, running):
            shown += chunk
    os.close(ours)

    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())  # the colours are pytest's
    assert "launch 1" in text
    assert "mine" in text
    assert obeyed(text.replace("\x1b[K", "")) <= {"\r"}
    assert commands(text.replace("\r", "\n")) == []


def _read(terminal: int, running: subprocess.Popen[bytes]) -> bytes:
    """Return what is written to a terminal next, nothing once the program has ended."""
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.2)
        if ready:
            try:
                return os.read(terminal, 1 << 16)
            except OSError:  # the other end is closed
                return b""
        if running.poll() is not None:
            return b""
