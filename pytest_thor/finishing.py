"""What takes a moment at the end of a run is finished, though a signal asks to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def finish_undisturbed() -> Callable[[], None]:
    """Heed no signal that asks to stop; one that comes a second time ends this process at once.

    For the time when everything is measured and the report is written: an interruption there would lose the report,
    and spare nobody more than a second. Returns what brings the former handlers back.
    """
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    heeded = [number for number, handler in before.items() if handler not in {signal.SIG_IGN, None}]
    if threading.current_thread() is not threading.main_thread():  # which alone may set handlers
        heeded = []
    for number in heeded:
        signal.signal(number, _once)

    def restore() -> None:
        for number in heeded:
            signal.signal(number, before[number])

    return restore


def _once(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
