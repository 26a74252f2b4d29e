"""Text from outside: what is left of it is letters, lines and nothing that a terminal or a runner obeys."""

from __future__ import annotations

import json
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.errors import BaselineError, EngineFailure, MatrixError, Problem, ThorError
from pytest_thor.plain_text import cleaned, inert_json, one_line, printable

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
COMMAND = re.compile(r"(?m)^\s*::|##\[")
FOREIGN = st.text(
    st.one_of(
        st.sampled_from("\x1b[]0;m\x07\\P^_#:\n\r\t \b\x9b\u202e\u200b\u2028=@-"), st.characters(exclude_categories=())
    )
)
SEQUENCES = {
    "a title": "\x1b]0;mine now\x07",
    "a title that ends otherwise": "\x1b]2;mine now\x1b\\",
    "the clipboard": "\x1b]52;c;bWluZQ==\x07",
    "a link": "\x1b]8;;https://example.org\x1b\\",
    "an empty screen": "\x1b[2J\x1b[H",
    "a colour": "\x1b[38;5;196m",
    "a question to the terminal": "\x1b[>c",
    "a macro": "\x1bP1;0;0!z6d61\x1b\\",
    "a privacy message": "\x1b^mine\x1b\\",
    "a program's command": "\x1b_Gmine\x1b\\",
    "another alphabet": "\x1b(0",
    "a reset": "\x1bc",
    "the alternate keypad": "\x1b=",
}


def obeyed(text: str) -> set[str]:
    return {letter for letter in text if unicodedata.category(letter) in OBEYED} - {"\n", "\t"}


def test_every_character_that_is_no_letter_is_replaced() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))

    shown = cleaned(everything.replace("\x1b", ""))

    assert obeyed(shown) == set()
    kept = {letter for letter in everything if unicodedata.category(letter) not in {*OBEYED, "Cn", "Mn"}}
    assert kept <= set(shown)


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
def test_a_sequence_is_gone_and_what_stands_around_it_stays(sequence: str) -> None:
    assert cleaned(f"before{sequence}after") == "beforeafter"


@pytest.mark.parametrize("begun", ["\x1b]0;", "\x1bP", "\x1b_", "\x1b^", "\x1bX"])
def test_a_sequence_without_an_end_hides_nothing_that_follows_it(begun: str) -> None:
    assert "CUDA error" in cleaned(f"{begun}\nCUDA error\nand more\x07")
    assert "CUDA error" in cleaned(f"{begun}CUDA error")


@given(FOREIGN)
def test_whatever_the_text_nothing_in_it_is_obeyed(text: str) -> None:
    for shown in (printable(text), one_line(text), str(ThorError(text))):
        assert obeyed(shown) == set()
        assert not COMMAND.search(shown)
    assert not {"\n", "\t"} & set(one_line(text))


@given(FOREIGN)
def test_what_may_be_shown_is_shown_as_it_is(text: str) -> None:
    for show in (cleaned, printable, one_line):
        assert show(show(text)) == show(text)
    assert len(cleaned(text).split("\n")) <= text.count("\n") + text.count("\r") + 1


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("::error::stop", "\\::error::stop"),
        ("  ::stop-commands::x", "  \\::stop-commands::x"),
        ("\u3000::add-mask::a", "\u3000\\::add-mask::a"),
        ("\x1b[0m::error::stop", "\\::error::stop"),
        ("\r::error::stop", "\n\\::error::stop"),
        ("a\n::error::stop", "a\n\\::error::stop"),
        ("2026 ##[add-matcher]x", "2026 ##\\[add-matcher]x"),
        ("##\x1b[m[error]x", "##\\[error]x"),
        ("std::vector ::x", "std::vector ::x"),
        ("## [a]", "## [a]"),
    ],
)
def test_a_runner_of_github_actions_finds_no_command(line: str, shown: str) -> None:
    assert printable(line) == shown


@given(
    st.recursive(FOREIGN | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(FOREIGN, inner))
)
def test_json_reads_back_the_same_and_is_inert(value: object) -> None:
    written = inert_json(json.dumps(value, ensure_ascii=False, indent=1))

    assert json.loads(written) == value
    assert obeyed(written) == set()
    assert not COMMAND.search(written)


def test_no_error_shows_what_a_terminal_would_obey() -> None:
    bad = "a\x1b]0;mine\x07\u202eb\n::error::c"

    problem = Problem(path=bad, line=1, column=1, message=bad)
    for error in (ThorError(bad), EngineFailure(bad), BaselineError(bad), MatrixError((problem,))):
        assert obeyed(str(error)) == set()
        assert "\n\\::error::c" in str(error)
