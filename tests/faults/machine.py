"""The faults of a machine: its disk is full or becomes read-only, its clock jumps."""

from __future__ import annotations

import math
import mmap
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar

from tests.faults.checks import Expected
from tests.faults.scene import Running, Scene
from tests.faults.strikes import GOES_WELL, Start, point

_SHIM = Path(__file__).with_name("clock_shim.c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The report's folder is a file system of its own, which is full or becomes read-only.

    Raises ``PermissionError`` in ``around`` where this machine lets nobody mount one.
    """

    read_only: bool
    _script: ClassVar[str] = 'mount -t tmpfs -o size="$1" tmpfs "$2" && echo ready && exec sleep 1000000'

    @property
    def name(self) -> str:
        """What a table calls it."""
        return "the disk becomes read-only" if self.read_only else "the disk is full"

    @property
    def expected(self) -> Expected:
        """What may follow."""
        return Expected(statuses=frozenset({1, 4}), words=("Read-only file system", "No space left on device"))

    @contextmanager
    def around(self, scene: Scene, random: Random) -> Iterator[Start]:
        """Mount it, in a namespace that ends with this; what was there before is in it, and comes back from it."""
        there = scene.root / "thor-report"
        there.mkdir(exist_ok=True)
        used = sum(file.stat().st_size + 4096 for file in there.iterdir())
        room = 64 << 20 if self.read_only else used + round(math.exp(random.uniform(math.log(4096), math.log(1e6))))
        command = ["unshare", "-rm", "sh", "-c", self._script, "sh", str(room), str(there)]
        if not all(map(shutil.which, ("unshare", "nsenter"))):
            raise PermissionError("unshare and nsenter are not installed")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as keeper:
            try:
                assert keeper.stdout is not None
                if keeper.stdout.readline() != "ready\n":
                    raise PermissionError("no file system can be mounted here")
                inside = Path(f"/proc/{keeper.pid}/root{there}")
                shutil.copytree(there, inside, dirs_exist_ok=True)
                scene.report = inside
                enter = ("nsenter", "-t", str(keeper.pid), "-U", "-m", "--preserve-credentials")
                yield Start(wrapper=(*enter, "sh", "-c", 'cd "$0" && exec "$@"', str(scene.root)))
                shutil.copytree(inside, there, dirs_exist_ok=True)
            finally:
                scene.report = there
                keeper.kill()

    def strike(self, running: Running, scene: Scene, random: Random) -> list[str]:
        """Remount it; a full one needs nothing more than what is written."""
        if not self.read_only:
            free = os.statvfs(scene.report)
            return [f"{self.name}: {free.f_bavail * free.f_bsize} bytes free at the start"]
        at = point(running, scene, random)
        keeper = scene.report.parts[2]
        there = str(scene.root / "thor-report")
        command = ["nsenter", "-t", keeper, "-U", "-m", "--preserve-credentials", "mount", "-o", "remount,ro", there]
        # Busy while a file is open for writing: the moment before or after is as good.
        while at is not None and running.alive and subprocess.run(command, capture_output=True, check=False).returncode:
            time.sleep(0.001)
        return [] if at is None else [f"{self.name} {at}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The wall clock of every process jumps, by up to a day either way, several times a second.

    Raises ``FileNotFoundError`` in ``around`` where there is no C compiler.
    """

    name: ClassVar[str] = "the clock jumps"
    expected: ClassVar[Expected] = Expected(statuses=GOES_WELL, words=())

    @contextmanager
    def around(self, scene: Scene, random: Random) -> Iterator[Start]:  # noqa: ARG002 - the protocol's
        """Compile what stands between the processes and the clock."""
        shim, offset = scene.root / "clock.so", scene.root / "clock-offset"
        offset.write_bytes(bytes(mmap.PAGESIZE))
        if not shim.exists():
            subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(shim), str(_SHIM), "-ldl"], check=True)
        yield Start(environment={"LD_PRELOAD": str(shim), "THOR_FAULT_CLOCK": str(offset)})

    def strike(self, running: Running, scene: Scene, random: Random) -> list[str]:
        """Let it jump until the run has ended."""
        jumps = 0
        with (scene.root / "clock-offset").open("r+b") as file, mmap.mmap(file.fileno(), mmap.PAGESIZE) as shared:
            while running.alive:
                shared[:8] = struct.pack("q", random.randint(-86400, 86400))
                jumps += 1
                time.sleep(random.uniform(0.0, 0.3))
        return [f"{self.name}: {jumps} times"]


def shim_works(scene: Scene) -> bool:
    """Tell whether the clock really jumps for a process under the shim."""
    with Clock().around(scene, Random(0)) as start:
        (scene.root / "clock-offset").write_bytes(struct.pack("q", 86400).ljust(mmap.PAGESIZE, b"\0"))
        environment = {**os.environ, **start.environment}
        told = subprocess.run(["date", "+%s"], env=environment, capture_output=True, check=True, text=True).stdout
    return 86000 < int(told) - time.time() < 87000
