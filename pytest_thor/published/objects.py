"""JSON objects anywhere in a text: a file of one, a list, one a line, or the beginning of a list that was cut off."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Sequence
from typing import Any

from pytest_thor import foreign_json
from pytest_thor.published import llama_rows, serving_json
from pytest_thor.published.page import Place
from pytest_thor.published.records import PublishedResult, Unread, unread

_OPENING = re.compile(r"\s*[\[,]?\s*\{")
_NEXT = re.compile(r"\s*,?\s*(?=\{)")
_TELLING = re.compile(
    r'"(?:build_commit|model_filename|avg_ts|samples_ts|request_throughput|completed|tokenizer_id)"\s*:'
)
_LOOK_AHEAD = 4000


class Objects:
    """The objects of a text, by the lines that they begin on."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._text = "\n".join(lines)
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._decoder = json.JSONDecoder()

    def opens(self, index: int) -> bool:
        """Say whether an object that may be a result begins on this line."""
        match = _OPENING.match(self._lines[index])
        if match is None:
            return False
        start = self._starts[index] + match.end() - 1
        return _TELLING.search(self._text, start, start + _LOOK_AHEAD) is not None

    def read(self, index: int, place: Place) -> tuple[list[PublishedResult], list[Unread], int]:
        """Read the object on this line and those that follow it directly; return the index of the line after them."""
        results: list[PublishedResult] = []
        problems: list[Unread] = []
        match = _OPENING.match(self._lines[index])
        assert match is not None
        at: int | None = self._starts[index] + match.end() - 1
        line = index
        while at is not None:
            line = self._line(at)
            try:
                start = at
                found, at = self._decoder.raw_decode(self._text, start)
                if foreign_json.HALF.search(self._text, start, at) and not foreign_json.is_text(found):
                    raise ValueError("it holds half of a character")
            except (ValueError, RecursionError) as error:
                problems.append(unread(line, self._lines[line], f"this object is cut off or broken: {_reason(error)}"))
                return results, problems, max(line, index) + 1
            self._take(found, line, place, results, problems)
            line = self._line(at - 1)
            following = _NEXT.match(self._text, at)
            at = following.end() if following else None
        return results, problems, line + 1

    def _line(self, at: int) -> int:
        return bisect.bisect_right(self._starts, at) - 1

    def _take(
        self, found: dict[str, Any], line: int, place: Place, results: list[PublishedResult], problems: list[Unread]
    ) -> None:
        if llama_rows.is_row(found):
            row = llama_rows.read_row(found, line, self._lines[line], place)
            if isinstance(row, Unread):
                problems.append(row)
            else:
                results.append(row)
        elif serving_json.is_result(found):
            read, unreadable = serving_json.read_result(found, line, place)
            results.extend(read)
            problems.extend(unreadable)
        else:
            reason = "an object that is neither a row of llama-bench nor a result of vllm bench serve"
            problems.append(unread(line, self._lines[line], reason))


def _reason(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error)
