"""Text that must stay below a size: whole blocks go in, in order, until one does not fit."""

from __future__ import annotations

from collections.abc import Iterable


class Budget:
    """Gathers blocks of text up to a number of UTF-8 bytes; None is no limit."""

    def __init__(self, limit_bytes: int | None) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0
        self._parts: list[str] = []

    @property
    def left_bytes(self) -> int | None:
        """The bytes that are left, None where there is no limit."""
        return None if self._limit_bytes is None else self._limit_bytes - self._used_bytes

    def add(self, *parts: str, reserve_bytes: int = 0) -> bool:
        """Add the parts as one block if all fit and ``reserve_bytes`` are left after them; say whether they did."""
        text = "".join(parts)
        size = len(text.encode())
        if self._limit_bytes is not None and self._used_bytes + size + reserve_bytes > self._limit_bytes:
            return False
        self._parts.append(text)
        self._used_bytes += size
        return True

    def add_while_it_fits(self, blocks: Iterable[str], *, reserve_bytes: int) -> int:
        """Add blocks until one does not fit; return how many went in."""
        added = 0
        for block in blocks:
            if not self.add(block, reserve_bytes=reserve_bytes):
                break
            added += 1
        return added

    def text(self) -> str:
        """Return what was gathered."""
        return "".join(self._parts)
