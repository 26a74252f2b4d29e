"""GitHub-flavoured Markdown out of foreign text: model names, paths and logs show as they are and do nothing.

Characters that Markdown, HTML or GitHub could read as markup become numeric entities, which no renderer reads as markup
again; so the same text is safe in a paragraph, in a table and inside an element. What is harmless where it stands (the
underscores of ``Q4_K_M``, a colon before a space) is left as it is, for those who read the source.
"""

from __future__ import annotations

import re

from pytest_thor.plain_text import cleaned, printable

_MARKUP = re.compile(r"[&<>`*\[\]|~\\#@$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=\S)")
# Most of what a report says; it is let through at once.
_HARMLESS = re.compile(r"(?!\d+[.)](?: |$))[A-Za-z0-9(][A-Za-z0-9,.%;()/'+-]*(?: [A-Za-z0-9,.%;()/'+-]+)*")
_BLOCK_MARK = re.compile(r"^[-+=](?=[-+= ]|$)")
_NUMBERED = re.compile(r"^(\d+)([.)])(?= |$)")
# GitHub looks for who and what is mentioned after the entities are letters again: a sign between, of which nothing is
# seen and where no line breaks, keeps it from calling somebody, or an issue from telling of this text.
_MENTION = re.compile(
    r"((?<![A-Za-z0-9])&#64;(?=[A-Za-z0-9])|&#35;(?=[0-9])|(?<![A-Za-z0-9])GH-(?=[0-9]))", re.IGNORECASE
)
_JOINER = "&#8288;"
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def text(foreign: str) -> str:
    """Return one line of running text; line breaks become spaces, and what looks like a mention calls nobody."""
    if _HARMLESS.fullmatch(foreign) and "www." not in foreign and not _MENTION.search(foreign):
        return foreign
    line = _MENTION.sub(rf"\1{_JOINER}", _escaped(foreign))
    line = _NUMBERED.sub(lambda match: f"{match[1]}{_entity(match[2])}", line)
    return _BLOCK_MARK.sub(lambda match: _entity(match[0]), line)


def code(foreign: str) -> str:
    """Return a name as code; GitHub links and calls nothing in it."""
    return f"<code>{_escaped(foreign)}</code>"


def pre(foreign: str) -> str:
    """Return lines as they are, as a block of HTML of its own."""
    return f"<pre>{printable(foreign).translate(_HTML)}</pre>"


def row(cells: list[str]) -> str:
    """Return a row of a table, of cells that are Markdown already."""
    return "| " + " | ".join(cells) + " |\n"


def details(summary: str, body: str) -> str:
    """Return a block that unfolds; ``summary`` and ``body`` are Markdown already."""
    return f"<details><summary>{summary}</summary>\n\n{body.rstrip()}\n\n</details>\n\n"


def _escaped(foreign: str) -> str:
    line = " ".join(cleaned(foreign).split())
    return _MARKUP.sub(lambda match: _entity(match[0]), line).replace("www.", "www&#46;")


def _entity(char: str) -> str:
    return f"&#{ord(char)};"
