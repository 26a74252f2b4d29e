"""Which device a text names, from a list of spellings; a device that is not on it stays unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

DeviceKind: TypeAlias = Literal["gpu", "cpu", "whole"]
"""A graphics card, a processor, or a machine whose parts share one memory."""

_SPELLINGS: tuple[tuple[DeviceKind, re.Pattern[str]], ...] = (
    ("whole", re.compile(r"\bJetson (?:AGX )?Thor\b|\bJetson (?:AGX )?Orin(?: NX| Nano)?\b|\bDGX Spark\b")),
    ("whole", re.compile(r"\bApple M\d{1,2}(?: (?:Pro|Max|Ultra))?\b|\bRaspberry Pi \d\b|\bRyzen AI Max\+? \d{3}\b")),
    ("gpu", re.compile(r"\b(?:RTX|GTX) (?:PRO )?[A-Z]?\d{3,4}(?: ?Ti\b| SUPER\b| Ada\b)?|\bRX \d{4}(?: XTX?)?\b")),
    ("gpu", re.compile(r"\b(?:GH200|GB200|B200|B300|H100|H200|H800|H20|A100|A800|A40|A10G?|L40S?|L4|V100|T4|P40)\b")),
    ("gpu", re.compile(r"\bMI\d{2,3}X?\b|\bArc [AB]\d{3}\b")),
    ("cpu", re.compile(r"\b(?:Intel )?Xeon (?:(?:Platinum|Gold|Silver|Bronze) )?(?:[EW]-?)?\d{4}\w{0,4}\b")),
    ("cpu", re.compile(r"\b(?:AMD )?EPYC ?\d{4}\w{0,2}\b|\bCore (?:i\d-\d{4,5}\w{0,3}|Ultra \d \d{3}\w?)\b")),
    ("cpu", re.compile(r"\bRyzen (?:Threadripper (?:PRO )?)?\d? ?\d{4}\w{0,3}\b")),
)
_ON_CPU = frozenset({"cpu", "blas", "amx", "zendnn", "kleidiai"})
_LONGEST = 300


def device_in(texts: Iterable[str], *, backend: str | None) -> str | None:
    """Return the device that the first telling text names, as it is written there.

    A text that names a graphics card and a processor is read by the backend: ``CPU`` ran on the processor.
    """
    wanted: DeviceKind = "cpu" if backend and set(backend.casefold().split(",")) <= _ON_CPU else "gpu"
    for text in texts:
        named = list(_named(text[:_LONGEST]))
        fitting = {name for kind, name in named if kind in {wanted, "whole"}}
        if len(fitting) == 1:
            return fitting.pop()
        if fitting:
            return None
    return None


def _named(text: str) -> Iterable[tuple[DeviceKind, str]]:
    for kind, spelling in _SPELLINGS:
        yield from ((kind, match.group(0)) for match in spelling.finditer(text))
