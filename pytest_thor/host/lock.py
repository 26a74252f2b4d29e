"""One device, one measurement at a time: locks that every session on this machine respects.

Whoever measures on a part of the machine (a GPU, a CPU set) holds that part for itself and the machine together with
others; whoever measures on all of it holds the machine for itself. So parts that share nothing go side by side, and
nothing else does. The operating system releases a lock when its holder dies, however that happens, and whatever it
started for its measurement is gone too. Who holds one stands in the lock's file, for the message only.

Who waits for the whole machine keeps those who come later from its parts: else two parts that are measured in turns
would never leave it free.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from pytest_thor.cores import with_siblings
from pytest_thor.errors import DeviceError
from pytest_thor.host.device import Device
from pytest_thor.inheritance import handed_on
from pytest_thor.orphans import bury
from pytest_thor.redaction import redacted

_PLACES = (Path("/run/lock"), Path("/tmp"))  # noqa: S108 - shared by every user of the machine on purpose
_MACHINE = "machine"
_GATE = "gate"
"""Held by who waits for the whole machine; whoever wants a part passes through it."""
_POLL_S = 0.1
_BURY_S = 10.0
"""How often who waits looks for what a killed session left on the device: rarely, since somebody measures on it."""
_HOLDER_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a measurement on ``device`` needs for itself: some parts of the machine, or without any all of it."""

    device: str
    parts: tuple[str, ...] = ()


def claim_of(device: Device) -> Claim:
    """Return what a measurement on a device claims: the cores and GPUs of a part, or without one the machine.

    A core is claimed by all its CPUs: who computes on another of them takes half of it.
    """
    if device.part is None:
        return Claim(device=device.slug)
    cpus = [f"cpu{number}" for number in with_siblings(device.part.cpus)]
    return Claim(device=device.slug, parts=(*cpus, *(f"gpu-{gpu.uuid or gpu.index}" for gpu in device.gpus)))


def lock_folder() -> Path:
    """Return where locks live: ``$THOR_LOCK_DIR``, else the first folder that everybody can write, root or not."""
    if given := os.environ.get("THOR_LOCK_DIR"):
        return Path(given)
    return next(filter(_is_everybodys, _PLACES), _PLACES[-1])


def _is_everybodys(place: Path) -> bool:
    # What root alone can write (/run/lock on some distributions) would keep root's measurements apart from the others'.
    with suppress(OSError):
        return bool(place.stat().st_mode & stat.S_IWOTH) and os.access(place, os.W_OK)
    return False


@contextmanager
def exclusive(claim: Claim, *, on_wait: Callable[[str], None], command: str | None = None) -> Iterator[None]:
    """Hold what is claimed for the duration of the block, waiting as long as it takes.

    An engine that is started within holds it too, until it is gone. ``on_wait`` is called once with who holds it, if
    anyone does; others are told ``command`` of us, by default that of this process. What a killed session left running
    is ended: it would keep the device, or disturb the measurement.

    Raises:
        DeviceError: a lock's file cannot be opened.
    """
    by = " ".join(sys.argv) if command is None else command
    held = _take(claim, by=by)
    if held is None:
        bury()
        time.sleep(_POLL_S)  # it may have been held for the moment in which somebody asked who holds it
        held = _take(claim, by=by)
    if held is None:
        on_wait(f"{claim.device} is being measured by {_holders(claim)}; waiting for it to finish")
        held = _wait(claim, by)
    with held:
        bury()
        yield


def held_by(claim: Claim) -> str | None:
    """Say who measures on what is claimed now, or return None where nobody does.

    Raises:
        DeviceError: a lock's file cannot be opened.
    """
    held = _take(claim, by=None)
    if held is None:
        return _holders(claim)
    held.close()
    return None


def _wait(claim: Claim, by: str) -> ExitStack:
    buried_at = time.monotonic()
    with ExitStack() as gate:
        is_first = False
        while True:
            time.sleep(_POLL_S)
            if time.monotonic() > buried_at + _BURY_S:
                bury()
                buried_at = time.monotonic()
            if not claim.parts and not is_first:
                is_first = _take_one(gate, _GATE, alone=True, by=by)
            if (held := _take(claim, by=by)) is not None:
                return held


def _take(claim: Claim, *, by: str | None) -> ExitStack | None:
    """Take everything that is claimed or nothing: who waits for one part keeps nobody from another.

    ``by`` is what others are told of us, None to tell nothing.
    """
    with ExitStack() as stack, ExitStack() as gate:
        if claim.parts and not _take_one(gate, _GATE, alone=False, by=None):
            return None
        if not _take_one(stack, _MACHINE, alone=not claim.parts, by=by):
            return None
        if not all(_take_one(stack, part, alone=True, by=by) for part in claim.parts):
            return None
        return stack.pop_all()
    return None


def _take_one(stack: ExitStack, name: str, *, alone: bool, by: str | None) -> bool:
    descriptor = _open(_path_of(name))
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    if not _stands_at(_path_of(name), descriptor):  # somebody removed it since it was opened, and may hold another
        os.close(descriptor)
        return False
    stack.callback(os.close, descriptor)  # which also releases it, unless an engine that cannot be ended holds it
    stack.enter_context(handed_on(descriptor))
    # What stands there is a dead holder's: nobody has it alone by now.
    _write(descriptor, _who(by) if alone and by is not None else "")
    if alone:
        stack.callback(_write, descriptor, "")
    return True


def _open(path: Path) -> int:
    """Open a lock's file, making it where it is missing; the folder is everybody's, so links are not followed."""
    try:
        descriptor = _open_or_make(path, os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        folder, found = path.parent.stat(), os.fstat(descriptor)
        if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
            os.close(descriptor)
            raise OSError(errno.EPERM, "everybody may remove what others made in its folder (chmod +t forbids that)")
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is no plain file")
    except OSError as error:
        raise DeviceError(
            f"{path}: the device's lock cannot be opened: {error.strerror}; name a folder that everybody who measures "
            "on this machine can write with THOR_LOCK_DIR"
        ) from error
    return descriptor


def _stands_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _open_or_make(path: Path, flags: int) -> int:
    with suppress(FileNotFoundError):
        try:
            # Without O_CREAT: in a folder such as /tmp the kernel may refuse it for another user's file.
            return os.open(path, os.O_RDWR | flags)
        except PermissionError:
            return os.open(path, os.O_RDONLY | flags)  # it can be held all the same
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # another session made it just now
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, 0o666)
        os.fchmod(descriptor, 0o666)  # whatever the umask: another user's session must be able to wait
        return descriptor
    return _open_or_make(path, flags)


def _write(descriptor: int, text: str) -> None:
    with suppress(OSError):  # it informs; the lock itself is what protects
        if text or os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text.encode(), 0)


def _path_of(name: str) -> Path:
    return lock_folder() / f"pytest-thor-{name}.lock"


def _who(command: str) -> str:
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "since": since, "command": redacted(command)[:500]})


def _holders(claim: Claim) -> str:
    """Say who keeps a claim from being met, each once."""
    if claim.parts:
        paths = [_path_of(name) for name in (_MACHINE, *claim.parts, _GATE)]
    else:
        paths = sorted(set(lock_folder().glob(_path_of("*").name)) - {_path_of(_GATE)})
    said = dict.fromkeys(filter(None, map(_holder, paths)))
    return " and ".join(said) or "another session"


def _holder(path: Path) -> str | None:
    """Say who has a lock alone, None where nobody has or does not tell."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            content = json.loads(os.pread(descriptor, _HOLDER_BYTES, 0))
            said = f"process {int(content['pid'])} since {content['since']} ({content['command']})"
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        return "".join(letter if letter.isprintable() else "?" for letter in said)  # any user may have written it
    finally:
        os.close(descriptor)
    return None
