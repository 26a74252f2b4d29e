"""A document as lines, and what stands around each of them: headings, labels, commands, the machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pytest_thor.published.commands import Command, command_at
from pytest_thor.published.names import model_in
from pytest_thor.published.records import Source

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(\S.*)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"\s{0,8}(?:[-*+]|\d{1,3}[.)])\s+(\S.*)")
_BOLD = re.compile(r"\s{0,3}(\*\*|__)(\S.*)\1:?\s*")
_MARKUP = re.compile(r"!?\[([^\[\]]{0,300})\]\([^()]{0,500}\)")
_FRONT = re.compile(r"(title|date|url|canonical_url|source)\s*:\s*(\S.*)")
_MODEL_LINE = re.compile(r"\s*[-*]?\s*\**(?:Model|模型)\**\s*[:：]\s*(\S+)\s*", re.IGNORECASE)
_DEVICE_LINE = re.compile(r"\s*Device \d{1,3}: ([^,]{2,100}), (?:compute capability|gfx)")
_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?))?(?:\.\d+)?\s*(Z|[+-]\d{2}:?\d{2})?")
_SAID = 300
_CAPTION = 80
_MOST_COMMANDS = 200  # the latest, for each result looks through them


def decode(content: bytes) -> str:
    """Return a file's text: UTF-8, or UTF-16 where its first bytes say so; what is neither becomes a sign for it."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    return content.decode("utf-8", errors="replace")


def lines_of(text: str) -> list[str]:
    """Return a text's lines without colours and control characters; of a line drawn over and over, the last state."""
    plain = _ESCAPE.sub("", text) if "\x1b" in text else text
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n"))
    return [_CONTROL.sub("", line) for line in lines]


def source_of(lines: Sequence[str], name: str) -> Source:
    """Return what a document says of itself: the front matter of a blog's page, or its first heading."""
    found: dict[str, str] = {}
    if lines and lines[0].strip() == "---":
        for line in lines[1:60]:
            if line.strip() in {"---", "..."}:
                break
            if (match := _FRONT.fullmatch(line.rstrip())) and match[1] not in found:
                found[match[1]] = match[2].strip().strip("\"'").strip()
    url = found.get("canonical_url") or found.get("url") or found.get("source")
    return Source(
        name=name,
        title=found.get("title")
        or next((plain(match[2]) for match in map(_HEADING.match, lines[:200]) if match), None),
        url=url if url and url.startswith(("https://", "http://")) else None,
        date=iso_date(found.get("date")),
    )


def iso_date(written: str | None) -> str | None:
    """Return a date, with its time where one is given, in ISO 8601; None where it is no date."""
    match = _ISO.match(written.strip()) if written else None
    if match is None:
        return None
    day, time, zone = match.groups()
    if not time:
        return day
    zone = "" if not zone else zone if zone == "Z" or ":" in zone else f"{zone[:3]}:{zone[3:]}"
    return f"{day}T{time}{zone}"


def plain(text: str) -> str:
    """Return a heading or label without links and emphasis."""
    return _MARKUP.sub(r"\1", text[:_SAID]).strip().strip("#").replace("`", "").replace("**", "").strip(" *_:：")


@dataclass(slots=True)
class Place:
    """Where a reader stands: fed every line that is no result, in order."""

    source: Source
    headings: list[tuple[int, str, int]] = field(default_factory=list)
    """Open headings as (level, text, line index)."""
    label: str | None = None
    said: str = ""
    commands: list[Command] = field(default_factory=list)
    device_named: str | None = None
    model_named: tuple[int, str] | None = None
    fence: str | None = None
    ended: int = -1
    """Where the last serving result ended: a command after it belongs to the next."""

    def feed(self, lines: Sequence[str], index: int) -> int:
        """Take in one line, or a command of several; return the index after it."""
        line = lines[index]
        if self._fenced(line):
            return index + 1
        if self.fence is None and (heading := _HEADING.match(line)):
            self._open(len(heading[1]), plain(heading[2]), index)
            return index + 1
        if self.fence is None and (item := _ITEM.fullmatch(line) or _BOLD.fullmatch(line)):
            self.label = plain(item[item.lastindex or 1]) or self.label
        if found := command_at(lines, index, self.label):
            self.commands.append(found[0])
            del self.commands[:-_MOST_COMMANDS]
            return found[1]
        if device := _DEVICE_LINE.match(line):
            self.device_named = device[1].strip()
        if self.fence is None and (model := _MODEL_LINE.fullmatch(line)):
            self.model_named = (index, model[1])
        if line.strip():
            self.said = line.strip()[:_SAID]
        return index + 1

    def beside_file(self, index: int, file: str | None) -> Place:
        """Return the same place as a result stands in that names its own model file."""
        if file is None:
            return self
        own = Command(index=index, tool="llama-bench", label=None, options={"model": file})
        return replace(self, commands=[own])

    @property
    def path(self) -> tuple[str, ...]:
        """The open headings, outermost first."""
        return tuple(text for _, text, _ in self.headings)

    @property
    def device_hints(self) -> tuple[str, ...]:
        """The texts that may name the machine, nearest first."""
        own = (self.device_named,) if self.device_named else ()
        return (*own, self.said if len(self.said) <= _CAPTION else "", *reversed(self.path), self.source.title or "")

    @property
    def opened(self) -> int:
        """The line index of the last heading, -1 before the first."""
        return self.headings[-1][2] if self.headings else -1

    def heading_model(self) -> tuple[int, str] | None:
        """Return the nearest open heading that names a model, with its line index."""
        for _, text, index in reversed(self.headings):
            if model := model_in(text):
                return index, model
        return None

    def _fenced(self, line: str) -> bool:
        fence = _FENCE.match(line)
        if fence is None:
            return False
        mark = fence[1]
        if self.fence is None:
            self.fence = mark
        elif mark[0] == self.fence[0] and len(mark) >= len(self.fence) and line.strip() == mark:
            self.fence = None
        return True

    def _open(self, level: int, text: str, index: int) -> None:
        self.headings = [heading for heading in self.headings if heading[0] < level]
        self.headings.append((level, text, index))
        self.label = text
        self.device_named = None
