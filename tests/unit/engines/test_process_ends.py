"""Running a process: its lines, its end, and nothing of it left behind, whoever is killed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.engines.background import background
from pytest_thor.engines.log_tail import LogTail
from pytest_thor.engines.process import LINE_LIMIT, Ending, Line, _Lines, run, run_briefly
from pytest_thor.errors import EngineFailure

SHELL = "/bin/sh"


def events_of(script: str, *, timeout_s: float = 20.0, request: bytes | None = None) -> list[Line | Ending]:
    return list(run([SHELL, "-c", script], timeout_s=timeout_s, request=request, grace_s=0.1))


def test_both_streams_are_read_and_the_exit_code_comes_last() -> None:
    events = events_of("echo one; echo two >&2; exit 3")
    assert Line(stream="stdout", text="one") in events
    assert Line(stream="stderr", text="two") in events
    assert events[-1] == Ending(code=3)


def test_a_request_is_the_standard_input() -> None:
    assert events_of("cat", request=b"asked\nand half")[:2] == [
        Line(stream="stdout", text="asked"),
        Line(stream="stdout", text="and half", complete=False),
    ]


def test_no_request_is_an_empty_input() -> None:
    assert events_of("cat") == [Ending(code=0)]


def test_the_environment_is_handed_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_TEST_WORD", "kept")
    assert events_of('printf "%s\\n" "$THOR_TEST_WORD"')[0] == Line(stream="stdout", text="kept")


def test_more_output_than_a_pipe_holds_on_both_streams_blocks_nobody() -> None:
    printed, ending = run_briefly([SHELL, "-c", "yes out | head -c 300000; yes err | head -c 300000 >&2"])
    assert ending.ok
    assert len(printed) > 500_000


def test_a_program_that_cannot_be_started_says_so() -> None:
    printed, ending = run_briefly(["/nowhere/engine"])
    assert printed == "/nowhere/engine: cannot be started: No such file or directory"
    assert ending.code == 127


@pytest.fixture
def no_descriptor_left() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("no_descriptor_left")
def test_a_machine_without_room_for_a_process_is_told_in_a_sentence() -> None:
    with pytest.raises(EngineFailure, match=r"^/bin/sh: cannot be started: Too many open files$"):
        events_of("true")
    with pytest.raises(EngineFailure, match=r"^/bin/sh: cannot be started: "), background([SHELL, "-c", "true"]):
        pass


def test_the_deadline_keeps_what_was_printed() -> None:
    events = events_of("printf begun; sleep 600", timeout_s=0.3)
    assert events == [Line(stream="stdout", text="begun", complete=False), Ending(code=None, timed_out=True)]


def test_what_a_process_leaves_behind_is_counted_and_ended() -> None:
    events = events_of("(setsid sleep 600 & echo $!) ; (sleep 600 & echo $!)")
    ending = events.pop()
    assert ending == Ending(code=0, strays=2)
    assert not any(psutil.pid_exists(int(event.text)) for event in events if isinstance(event, Line))


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Ending(code=2), "x ended with exit status 2"),
        (Ending(code=-11), "x crashed (SIGSEGV, a fault in native code)"),
        (Ending(code=-signal.SIGTERM), "x was ended by SIGTERM"),
        (Ending(code=-63), "x was ended by signal 63"),
        (Ending(code=None, timed_out=True), "x did not finish within 5 s and was stopped"),
        (Ending(code=None), "x was lost: the process that watched over it was killed"),
    ],
)
def test_every_ending_has_a_sentence(ending: Ending, words: str) -> None:
    assert ending.sentence("x", 5) == words


ASKER = """
import sys
from pytest_thor.engines.process import run
for event in run(["/bin/sh", "-c", "echo $$; setsid sleep 600 & echo $!; sleep 600"], timeout_s=600):
    print(event.text, flush=True)
"""


def test_the_engine_dies_with_whoever_asked_for_it_even_when_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", ASKER], stdout=subprocess.PIPE, text=True) as asker:
        assert asker.stdout is not None
        engine = [psutil.Process(int(asker.stdout.readline())) for _ in range(2)]
        asker.kill()
    _, alive = psutil.wait_procs(engine, timeout=20)
    assert alive == []


@pytest.mark.parametrize("apart", ["", "setsid "], ids=["in the session", "in a session of its own"])
def test_the_engine_dies_with_its_supervisor_and_all_that_it_started(apart: str) -> None:
    events = run([SHELL, "-c", f"echo $PPID; {apart}sleep 600 & echo $!; sleep 600"], timeout_s=60)
    supervisor, child = (int(next(events).text) for _ in range(2))  # type: ignore[union-attr]  # lines come first
    os.kill(supervisor, signal.SIGKILL)
    # The child still holds the streams open, which must keep nobody waiting.
    assert list(events) == [Ending(code=None)]
    _, alive = psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=20)
    assert alive == []


@given(st.lists(st.binary(max_size=20)))
def test_lines_do_not_depend_on_how_the_bytes_arrive(chunks: list[bytes]) -> None:
    pieces, whole = _Lines("stdout"), _Lines("stdout")
    by_piece = [line for chunk in chunks for line in pieces.feed(chunk)] + list(pieces.flush())
    at_once = list(whole.feed(b"".join(chunks))) + list(whole.flush())
    assert by_piece == at_once
    assert [line.text for line in at_once if line.complete] == [
        part.decode(errors="replace").rstrip("\r") for part in b"".join(chunks).split(b"\n")[:-1]
    ]


@pytest.mark.parametrize("chunk", [LINE_LIMIT + 5, 4096])
def test_a_line_without_end_is_cut_and_the_next_one_is_whole(chunk: int) -> None:
    data = b"x" * (LINE_LIMIT * 2) + b"\nnext\n"
    lines = _Lines("stdout")
    read = [line for at in range(0, len(data), chunk) for line in lines.feed(data[at : at + chunk])]
    assert [(len(line.text), line.complete) for line in read] == [(LINE_LIMIT, False), (4, True)]


@given(st.lists(st.text(alphabet="ab ", max_size=30)), st.integers(min_value=1, max_value=40))
def test_a_log_tail_is_the_end_of_the_log(lines: list[str], limit: int) -> None:
    tail = LogTail(limit)
    for line in lines:
        tail.add(line)
    assert len(str(tail)) <= limit
    assert "\n".join(lines).endswith(str(tail))
