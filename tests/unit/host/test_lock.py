"""The locks of devices, held by real processes."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_thor.errors import DeviceError
from pytest_thor.host import lock
from pytest_thor.host.device import Device, Gpu, identify
from pytest_thor.host.lock import Claim, claim_of, exclusive, held_by, lock_folder
from pytest_thor.host.part import Part

MACHINE = Claim(device="thor")
LEFT = Claim(device="left", parts=("cpu0", "cpu1"))
RIGHT = Claim(device="right", parts=("cpu2", "cpu3"))
MIDDLE = Claim(device="middle", parts=("cpu1", "cpu2"))
HOLD = """\
import sys
from pytest_thor.host.lock import Claim, exclusive
with exclusive(Claim(device=sys.argv[1], parts=tuple(sys.argv[2:])), on_wait=print):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(claim: Claim) -> Iterator[subprocess.Popen[str]]:
    """Have another process hold a claim, until its standard input is closed."""
    command = [sys.executable, "-c", HOLD, claim.device, *claim.parts]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.stdin.close()


def nobody(sentence: str) -> None:
    raise AssertionError(sentence)


def test_a_held_device_is_waited_for_and_its_holder_named() -> None:
    said: list[str] = []
    with held(MACHINE) as holder:

        def on_wait(sentence: str) -> None:
            said.append(sentence)
            assert holder.stdin is not None
            holder.stdin.close()  # lets the holder end

        with exclusive(MACHINE, on_wait=on_wait):
            holder.wait()

    assert len(said) == 1
    assert said[0].startswith(f"thor is being measured by process {holder.pid} since 20")
    assert said[0].endswith("(-c thor); waiting for it to finish")


def test_a_killed_holder_holds_nothing_and_is_not_named(own_device_lock: Path) -> None:
    with held(MACHINE) as dead:
        dead.kill()
        dead.wait()
    assert json.loads((own_device_lock / "pytest-thor-machine.lock").read_text())["pid"] == dead.pid
    assert held_by(MACHINE) is None

    with held(LEFT) as living:
        told = held_by(MACHINE)

    assert told is not None
    assert f"process {living.pid} since" in told
    assert str(dead.pid) not in told.replace(str(living.pid), "")


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (MACHINE, MACHINE, True),
        (MACHINE, LEFT, True),
        (LEFT, MACHINE, True),
        (LEFT, LEFT, True),
        (LEFT, MIDDLE, True),
        (MIDDLE, RIGHT, True),
        (LEFT, RIGHT, False),
    ],
)
def test_parts_that_share_nothing_go_side_by_side_and_nothing_else_does(one: Claim, other: Claim, meet: bool) -> None:
    with held(one) as holder:
        told = held_by(other)

        assert (told is not None) == meet
        if told is not None:
            assert f"process {holder.pid} since" in told
        else:
            with exclusive(other, on_wait=nobody):
                assert held_by(one) is not None


def test_everybody_who_is_waited_for_is_named() -> None:
    with held(LEFT) as left, held(RIGHT) as right:
        told = held_by(MACHINE)

    assert told is not None
    assert f"process {left.pid} " in told
    assert f" and process {right.pid} " in told


def test_who_waits_for_one_part_keeps_nobody_from_another() -> None:
    waits = threading.Event()
    took: list[float] = []

    def wait_for_both() -> None:
        with exclusive(Claim(device="both", parts=("cpu2", "cpu1")), on_wait=lambda _: waits.set()):
            took.append(time.monotonic())

    with held(LEFT):
        waiting = threading.Thread(target=wait_for_both)
        waiting.start()
        assert waits.wait(30)
        with exclusive(Claim(device="third", parts=("cpu2",)), on_wait=lambda _: None):
            assert took == []
    waiting.join(30)

    assert len(took) == 1


def test_who_waits_for_the_whole_machine_is_next() -> None:
    waits = threading.Event()
    took: list[str] = []

    def wait_for_all() -> None:
        with exclusive(MACHINE, on_wait=lambda _: waits.set()):
            took.append("machine")

    def wait_for_a_part() -> None:
        with exclusive(RIGHT, on_wait=took.append):
            took.append("right")

    with held(LEFT):
        first = threading.Thread(target=wait_for_all)
        first.start()
        assert waits.wait(30)
        while held_by(RIGHT) is None:  # until the first one stands at the gate
            time.sleep(0.01)
        second = threading.Thread(target=wait_for_a_part)
        second.start()
        while not took:
            time.sleep(0.01)
    first.join(30)
    second.join(30)

    assert took[0].startswith(f"right is being measured by process {os.getpid()} since")
    assert took[1:] == ["machine", "right"]


def test_a_long_wait_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_POLL_S", 0.002)
    polls = 0
    enough = threading.Event()
    sleep = time.sleep

    def count(seconds: float) -> None:
        nonlocal polls
        polls += 1
        if polls > 200:
            enough.set()
        sleep(seconds)

    def wait() -> None:
        with exclusive(MACHINE, on_wait=lambda _: None):
            pass

    monkeypatch.setattr(time, "sleep", count)
    with held(MACHINE):
        before = psutil.Process().num_fds()
        waiting = [threading.Thread(target=wait) for _ in range(3)]
        for thread in waiting:
            thread.start()
        assert enough.wait(60)
        open_now = psutil.Process().num_fds()
    for thread in waiting:
        thread.join(30)

    assert open_now < before + 20


def test_asking_who_holds_a_device_tells_nobody_that_it_is_held(own_device_lock: Path) -> None:
    assert held_by(MACHINE) is None
    assert (own_device_lock / "pytest-thor-machine.lock").read_text() == ""


def test_nothing_is_said_of_a_holder_that_left(own_device_lock: Path) -> None:
    with exclusive(LEFT, on_wait=nobody):
        assert json.loads((own_device_lock / "pytest-thor-cpu0.lock").read_text())["pid"] == os.getpid()
    assert {file.read_text() for file in own_device_lock.glob("*.lock")} == {""}


def test_every_user_may_wait_for_a_lock_whatever_the_umask_of_the_one_who_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THOR_LOCK_DIR", str(tmp_path))
    before = os.umask(0o077)
    try:
        with exclusive(LEFT, on_wait=nobody):
            modes = {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {0o666}


def test_a_link_in_a_locks_place_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_LOCK_DIR", str(tmp_path))
    precious = tmp_path / "precious"
    precious.write_text("kept")
    place = tmp_path / "pytest-thor-machine.lock"
    for link in (place.symlink_to, place.hardlink_to):
        link(precious)
        with pytest.raises(DeviceError, match=r"machine\.lock: the device's lock cannot be opened: .*THOR_LOCK_DIR"):
            held_by(MACHINE)
        place.unlink()
    assert precious.read_text() == "kept"


@pytest.mark.parametrize("mode", [0o777, 0o707, 0o773])
def test_a_folder_in_which_everybody_may_remove_a_lock_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setenv("THOR_LOCK_DIR", str(tmp_path))
    tmp_path.chmod(mode)
    with pytest.raises(DeviceError, match=r"everybody may remove .* \(chmod \+t forbids that\); name a folder"):
        held_by(MACHINE)
    tmp_path.chmod(mode | 0o1000)
    assert held_by(MACHINE) is None


def test_a_pipe_in_a_locks_place_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_LOCK_DIR", str(tmp_path))
    os.mkfifo(tmp_path / "pytest-thor-machine.lock")
    with pytest.raises(DeviceError, match="it is no plain file"):
        held_by(MACHINE)


def test_a_lock_that_was_removed_while_it_was_opened_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THOR_LOCK_DIR", str(tmp_path))
    opened = os.open

    def removing(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = opened(path, flags, mode)
        if str(path).endswith("machine.lock"):
            monkeypatch.setattr(os, "open", opened)
            Path(path).unlink()  # as who cleans up /tmp may
        return descriptor

    monkeypatch.setattr(os, "open", removing)
    assert held_by(MACHINE) is not None
    with exclusive(MACHINE, on_wait=nobody):
        assert [file.name for file in tmp_path.iterdir()] == ["pytest-thor-machine.lock"]


def test_nobody_else_can_release_a_lock(own_device_lock: Path) -> None:
    with exclusive(MACHINE, on_wait=nobody):
        [file] = own_device_lock.glob("pytest-thor-machine.lock")
        with file.open("r+b") as theirs:  # as any user of the machine may
            fcntl.flock(theirs, fcntl.LOCK_UN)
            fcntl.lockf(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(theirs, fcntl.LOCK_UN)
            theirs.truncate(0)
        assert held_by(MACHINE) is not None
    assert held_by(MACHINE) is None


def test_a_folder_that_is_not_there_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_LOCK_DIR", str(tmp_path / "new" / "locks"))
    with exclusive(MACHINE, on_wait=nobody):
        assert held_by(MACHINE) is not None


def test_a_folder_that_cannot_be_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("THOR_LOCK_DIR", str(tmp_path / "file"))
    with pytest.raises(DeviceError, match=r"file/pytest-thor-machine\.lock: the device's lock .*Not a directory; name"):
        held_by(MACHINE)


@given(noise=st.binary(max_size=200))
@example(noise=b'{"pid": 1, "since": "\\u001b[2J", "command": "now"}')
@example(noise=b'{"pid": 1e999, "since": "today", "command": "x"}')
@example(noise=b"[" * 4000)
def test_whatever_stands_in_a_locks_file_it_is_waited_for(noise: bytes) -> None:
    with exclusive(MACHINE, on_wait=nobody):
        (lock_folder() / "pytest-thor-machine.lock").write_bytes(noise)
        told = held_by(MACHINE)
        assert told is not None
        assert told.isprintable()


def device(part: Part | None, gpus: tuple[Gpu, ...] = ()) -> Device:
    return replace(identify(), part=part, gpus=gpus)


def test_a_device_claims_what_it_uses() -> None:
    gpu = Gpu(name="H200", memory_bytes=None, index=1, uuid="GPU-77")

    assert claim_of(device(Part(cpus=(0, 2)))).parts == ("cpu0", "cpu2")
    assert claim_of(device(Part(gpus=(1,)), (gpu,))).parts == ("gpu-GPU-77",)
    assert claim_of(device(Part(gpus=(1,), cpus=(3,)), (gpu,))).parts == ("cpu3", "gpu-GPU-77")
    assert claim_of(device(None, (gpu,))).parts == ()


def test_locks_live_where_everybody_can_write_and_not_where_root_alone_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THOR_LOCK_DIR")
    first, second = tmp_path / "run", tmp_path / "tmp"
    for folder, mode in ((first, 0o755), (second, 0o1777)):
        folder.mkdir()
        folder.chmod(mode)
    monkeypatch.setattr(lock, "_PLACES", (first, second))

    assert lock_folder() == second
    first.chmod(0o1777)
    assert lock_folder() == first
    first.rmdir()
    assert lock_folder() == second


def test_a_core_is_claimed_with_all_its_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "with_siblings", lambda cpus: sorted({*cpus, *(cpu + 8 for cpu in cpus)}))
    device = replace(identify(), part=Part(cpus=(0, 1)), gpus=())

    assert claim_of(device).parts == ("cpu0", "cpu1", "cpu8", "cpu9")
