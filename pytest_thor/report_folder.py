"""The report folder of a run: for one run at a time, without an earlier report; an earlier journal stays a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from pytest_thor import folder_lock
from pytest_thor.errors import ReportError
from pytest_thor.files import atomic_write_text
from pytest_thor.journal import Made, made_before
from pytest_thor.options import Options
from pytest_thor.report.outputs import FORMATS


class ReportFolder:
    """Where one run's report and journal go, as its options say."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.journaled: frozenset[Made] = frozenset()
        """What was in the journal when this run began to resume it."""

    def take(self) -> Callable[[], None]:
        """Have the folder to oneself, and return what gives it back.

        The report of the run before goes: were this run killed, it would pass for this one's.

        Raises:
            pytest.UsageError: another session writes there, or the folder cannot be written.
        """
        with self._refusing(), ExitStack() as held:
            held.callback(folder_lock.hold(self._options.report))
            for file in ("report.json", *(output.file for output in FORMATS.values())):
                (self._options.report / file).unlink(missing_ok=True)
            if self._options.resume and self._options.journal.exists():
                self.journaled = made_before(self._options.journal)
            else:
                self._options.journal.open("ab").close()  # better refused now than after hours of measuring
            return held.pop_all().close

    def begin_journal(self) -> None:
        """Begin a new journal, unless the one that is there is resumed.

        Not before something will be measured: a mistyped selection costs no launch of the run before.

        Raises:
            pytest.UsageError: the folder cannot be written.
        """
        if not self._options.resume:
            with self._refusing():
                atomic_write_text(self._options.journal, "")

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise pytest.UsageError(
                f"{self._options.report}: the report folder cannot be written: {error.strerror}; "
                "give another with --thor-report DIR"
            ) from error
        except ReportError as error:
            raise pytest.UsageError(str(error)) from error
