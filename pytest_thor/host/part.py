"""A part of a machine that is a device of its own: GPUs by index, CPUs by number, with a name or without.

Written as ``gpu:0``, ``gpu:0,1`` (two GPUs that work together), ``cpus:0-3,8``, ``gpu:1+cpus:8-15``, each with
``NAME=`` before it where it shall have one. A GPU's index is that of ``nvidia-smi``; CUDA may count otherwise.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_thor.cores import with_siblings
from pytest_thor.errors import DeviceError
from pytest_thor.host.sensor_file import text_of

VISIBLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RANGE = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
NO_MIG = (
    "MIG instances are no devices here: those of different size would pass for one another; measure a whole GPU, "
    "without MIG (sudo nvidia-smi -i INDEX -mig 0)"
)
_EXPECTED = "expected gpu:INDEX or cpus:FIRST-LAST, such as gpu:0, cpus:0-3,8 or left=gpu:1+cpus:8-15"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """GPUs by their index in ``nvidia-smi`` and CPUs by number, each sorted; at least one of both.

    Without ``cpus`` all CPUs that the process may use belong to it; without ``gpus`` none does.
    """

    gpus: tuple[int, ...] = ()
    cpus: tuple[int, ...] = ()
    name: str | None = None

    def __str__(self) -> str:
        parts = [f"gpu:{','.join(map(str, self.gpus))}"] if self.gpus else []
        return "+".join([*parts, *([f"cpus:{ranges(self.cpus)}"] if self.cpus else [])])

    @property
    def written(self) -> str:
        """The part as :func:`parse_part` reads it, its name included."""
        return f"{self.name}={self}" if self.name else str(self)


def parse_part(text: str) -> Part:
    """Read a part as a user writes it.

    Raises:
        ValueError: it cannot be read; the message says what was expected.
    """
    name, equals, rest = text.strip().rpartition("=")
    if equals and not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a device: 64 letters, digits and . _ - at most, not . _ - first")
    found: dict[str, tuple[int, ...]] = {}
    for piece in rest.split("+"):
        kind, colon, listed = piece.strip().partition(":")
        if kind == "gpu" and (refusal := _no_index(listed)):
            raise ValueError(refusal)
        numbers = _numbers(listed)
        if kind not in ("gpu", "cpus") or not colon or not numbers or kind in found:
            raise ValueError(_EXPECTED)
        found[kind] = numbers
    return Part(gpus=found.get("gpu", ()), cpus=found.get("cpus", ()), name=name or None)


def ranges(numbers: Iterable[int]) -> str:
    """Return sorted numbers as the kernel lists them: ``0-3,8``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def check_part(part: Part, gpu_uuids: Sequence[str | None], *, alike: bool = True, root: Path = Path("/")) -> None:
    """Make sure that a part is on this machine and that this process may use it.

    ``gpu_uuids`` are those of all GPUs here, in the order of their indices; ``alike`` says that all are of one model.

    Raises:
        DeviceError: it is not.
    """
    allowed = os.sched_getaffinity(0)
    beyond = sorted(set(part.cpus) - allowed)
    if beyond:
        raise DeviceError(
            f"{part.written}: {_why_not(beyond, root)}; this process may run on {ranges(sorted(allowed))}"
        )
    if not part.gpus:
        return
    absent = [index for index in part.gpus if index >= len(gpu_uuids)]
    if absent:
        last = len(gpu_uuids) - 1
        there = (
            f"gpu:0 to gpu:{last}" if last > 0 else "gpu:0" if gpu_uuids else "no NVIDIA GPU that its driver tells of"
        )
        raise DeviceError(f"{part.written}: there is no GPU {absent[0]}; this machine has {there}")
    visible = visible_gpus(gpu_uuids, alike=alike)
    hidden = [index for index in part.gpus if index not in visible]
    if hidden:
        raise DeviceError(
            f"{part.written}: {VISIBLE}={os.environ.get(VISIBLE)} keeps GPU {hidden[0]} from this process"
        )


def visible_gpus(gpu_uuids: Sequence[str | None], *, alike: bool = True) -> tuple[int, ...]:
    """Return the indices of the GPUs that ``$CUDA_VISIBLE_DEVICES`` leaves to this process, all where it is not set.

    As CUDA reads it: GPUs by number or by the beginning of a UUID, up to the first word that is neither. A number is
    ``nvidia-smi``'s only with ``CUDA_DEVICE_ORDER=PCI_BUS_ID``, or where all GPUs are ``alike``: else CUDA counts the
    fastest first.

    Raises:
        DeviceError: it names a MIG instance, or a number that may be either of two different GPUs.
    """
    visible = os.environ.get(VISIBLE)
    if visible is None:
        return tuple(range(len(gpu_uuids)))
    found: list[int] = []
    for word in map(str.strip, visible.split(",")):
        if word.startswith("MIG-"):
            raise DeviceError(f"{VISIBLE}={visible}: {NO_MIG}")
        if word.isascii() and word.isdecimal():
            if not alike and os.environ.get(_ORDER) != "PCI_BUS_ID":
                raise DeviceError(
                    f"{VISIBLE}={visible}: the GPUs here differ, and CUDA counts the fastest first, nvidia-smi by the "
                    f"bus; set {_ORDER}=PCI_BUS_ID too, or use --thor-device gpu:INDEX in its place"
                )
            named = [int(word)] if int(word) < len(gpu_uuids) else []
        else:
            named = [index for index, uuid in enumerate(gpu_uuids) if word and uuid and uuid.startswith(word)]
        if len(named) != 1:
            break
        found += named
    return tuple(dict.fromkeys(found))


def pin(part: Part) -> Callable[[], None]:
    """Bind this thread, and every process that it starts, to a part, until what is returned is called."""
    affinity = os.sched_getaffinity(0)
    chosen = environment(part)
    before = {name: os.environ.get(name) for name in chosen}
    if part.cpus:
        os.sched_setaffinity(0, part.cpus)
    os.environ.update(chosen)

    def restore() -> None:
        os.sched_setaffinity(0, affinity)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    return restore


@contextmanager
def bound_to(part: Part | None) -> Iterator[None]:
    """Bind this thread, as :func:`pin` does, for the duration of the block; None leaves it as it is."""
    restore = pin(part) if part else None
    try:
        yield
    finally:
        if restore:
            restore()


def environment(part: Part) -> Mapping[str, str]:
    """Return what CUDA must be told so that it uses a part's GPUs and no other.

    Indices and not UUIDs: some engines read the variable as numbers. They count as ``nvidia-smi`` does, which CUDA
    does only when told to.
    """
    return {_ORDER: "PCI_BUS_ID", VISIBLE: ",".join(map(str, part.gpus))}


def shared_memory_nodes(parts: Sequence[Part], root: Path = Path("/")) -> list[tuple[Part, Part]]:
    """Return the pairs of CPU sets with CPUs on one memory node, where each slows down the other's memory."""
    files = sorted((root / "sys/devices/system/node").glob("node[0-9]*/cpulist"))
    nodes = [set(_numbers(text_of(file) or "")) for file in files]
    sets = [part for part in parts if part.cpus and not part.gpus]
    return [
        (one, other)
        for number, one in enumerate(sets)
        for other in sets[number + 1 :]
        if not nodes or any(node.intersection(one.cpus) and node.intersection(other.cpus) for node in nodes)
    ]


def overlapping(parts: Sequence[Part]) -> tuple[Part, Part] | None:
    """Return two parts that share a GPU or a CPU, or None: they could not be measured side by side."""
    for number, one in enumerate(parts):
        for other in parts[number + 1 :]:
            if set(one.gpus).intersection(other.gpus) or set(one.cpus).intersection(other.cpus):
                return one, other
    return None


def sharing_cores(parts: Sequence[Part], root: Path = Path("/")) -> tuple[Part, Part] | None:
    """Return two parts with CPUs on one core, or None: they cannot be measured side by side."""
    for number, one in enumerate(parts):
        of_its_cores = with_siblings(one.cpus, root)
        for other in parts[number + 1 :]:
            if set(of_its_cores).intersection(other.cpus):
                return one, other
    return None


def _numbers(text: str) -> tuple[int, ...]:
    """Read ``0-3,8``; () where it is anything else."""
    found: set[int] = set()
    for piece in text.split(","):
        match = _RANGE.fullmatch(piece.strip())
        if match is None:
            return ()
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            return ()
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _no_index(listed: str) -> str | None:
    """Return what is wrong with a GPU that is named otherwise than by its index, None where it is not."""
    first = listed.strip()
    if first.startswith("MIG-") or re.fullmatch(r"\d+:\d+(:\d+)?", first):
        return NO_MIG
    if first.startswith("GPU-"):
        return "a GPU is named by its index, such as gpu:0; nvidia-smi -L lists the index of each UUID"
    return None


def _why_not(cpus: Sequence[int], root: Path) -> str:
    """Say why a process may not run on CPUs: they are not there, are switched off, or are kept from it."""
    for state, told in (("present", "there is no"), ("online", "it is offline:")):
        known = set(_numbers(text_of(root / "sys/devices/system/cpu" / state) or ""))
        missing = [cpu for cpu in cpus if known and cpu not in known]
        if missing:
            return f"{told} CPU {ranges(missing)}"
    return f"this process is kept from CPU {ranges(cpus)} (by taskset, a container's cpuset, or the like)"
