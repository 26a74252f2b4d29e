"""Text from outside as a terminal, a log and a page may show it: every letter of it, and nothing that is obeyed.

An engine, a report or a matrix may hold sequences that move the cursor, change the window's title, fill the clipboard
or draw links (ECMA-48: CSI, OSC), characters that hide or reorder others (Unicode's *format* characters), and lines
that a runner of GitHub Actions takes for its commands.
"""

from __future__ import annotations

import json
import re

# CSI; OSC and other strings, as far as their end stands on the same line: one without an end hides nothing that follows
# it; and what is two characters, or a few. The 8-bit forms are controls.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
# All of Unicode's categories Cc (but tab and newline), Cf, Cs, Zl and Zp, and selectors of which nothing is seen.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bcaf"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# The runner trims a line before it looks for ``::``, and looks for ``##[`` anywhere in it.
_COMMAND = re.compile(r"^([^\S\n]*)(?=::)|(?<=##)(?=\[)", re.MULTILINE)


def cleaned(foreign: str) -> str:
    """Return text without what a terminal would obey and what hides or reorders letters; line ends stay."""
    if foreign.isascii() and foreign.isprintable():
        return foreign
    foreign = _SEQUENCE.sub("", foreign).replace("\r\n", "\n").replace("\r", "\n")
    return _OBEYED.sub("\N{REPLACEMENT CHARACTER}", foreign)


def printable(foreign: str) -> str:
    """Return lines for a terminal or a log: cleaned, and a backslash in what a runner would take for a command."""
    text = cleaned(foreign)
    return _COMMAND.sub(r"\1\\", text) if "::" in text or "##[" in text else text


def one_line(foreign: str) -> str:
    """Return text for one line of a terminal or a log."""
    return printable(" ".join(cleaned(foreign).split()))


def inert_json(written: str) -> str:
    """Return JSON that reads back the same, with escapes in place of what a terminal or a runner would obey."""
    return _OBEYED.sub(lambda found: json.dumps(found[0])[1:-1], written).replace("##[", "##\\u005b")
