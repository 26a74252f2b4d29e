"""GitHub-flavoured Markdown out of foreign text: model names, paths and logs show as they are and do nothing.

Characters that Markdown, HTML or GitHub could read as markup become numeric entities, which no renderer reads as markup
again; so the same text is safe in a paragraph, in a table and inside an element. What is harmless where it stands (the
underscores of ``Q4_K_M``, a colon before a space) is left as it is, for those who read the source.
"""

from __future__ import annotations

import re

_MARKUP = re.compile(r"[&<>`*\[\]|~\\#@$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=\S)")
# Most of what a report says; it is let through at once.
_HARMLESS = re.compile(r"(?!\d+[.)](?: |$))[A-Za-z0-9(][A-Za-z0-9,.%;()/'+-]*(?: [A-Za-z0-9,.%;()/'+-]+)*")
_BLOCK_MARK = re.compile(r"^[-+=](?=[-+= ]|$)")
_NUMBERED = re.compile(r"^(\d+)([.)])(?= |$)")
_MENTION = re.compile(r"(?<![A-Za-z0-9])&#64;(?=[A-Za-z0-9])")
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# Terminal sequences (CSI, OSC and the two-character ones), control characters, and the marks that reorder text.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def text(foreign: str) -> str:
    """Return one line of running text; line breaks become spaces, and a name after @ calls nobody."""
    if _HARMLESS.fullmatch(foreign) and "www." not in foreign:
        return foreign
    line = _MENTION.sub("&#64;&#8288;", _escaped(foreign))
    line = _NUMBERED.sub(lambda match: f"{match[1]}{_entity(match[2])}", line)
    return _BLOCK_MARK.sub(lambda match: _entity(match[0]), line)


def code(foreign: str) -> str:
    """Return a name as code; GitHub links and calls nothing in it."""
    return f"<code>{_escaped(foreign)}</code>"


def pre(foreign: str) -> str:
    """Return lines as they are, as a block of HTML of its own."""
    return f"<pre>{cleaned(foreign).translate(_HTML)}</pre>"


def row(cells: list[str]) -> str:
    """Return a row of a table, of cells that are Markdown already."""
    return "| " + " | ".join(cells) + " |\n"


def details(summary: str, body: str, *, opened: bool = False) -> str:
    """Return a block that unfolds; ``summary`` and ``body`` are Markdown already."""
    return f"<details{' open' if opened else ''}><summary>{summary}</summary>\n\n{body.rstrip()}\n\n</details>\n\n"


def cleaned(foreign: str) -> str:
    """Return text without terminal sequences, control characters and marks that reorder it; line ends stay."""
    if foreign.isascii() and foreign.isprintable():
        return foreign
    foreign = _TERMINAL.sub("", foreign).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", foreign)


def _escaped(foreign: str) -> str:
    line = " ".join(cleaned(foreign).split())
    return _MARKUP.sub(lambda match: _entity(match[0]), line).replace("www.", "www&#46;")


def _entity(char: str) -> str:
    return f"&#{ord(char)};"
