"""Finds the program of an engine: what the user said, the environment, this Python's own installation, PATH."""

from __future__ import annotations

import os
import shutil
import site
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from pytest_thor.errors import EngineMissing


def variable(engine: str) -> str:
    """Return the environment variable that names an engine's program: ``THOR_LLAMA_BENCH``."""
    return f"THOR_{engine.upper().replace('-', '_').replace('.', '_')}"


def chosen(engine: str, override: Path | None, environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the program that the user chose for an engine, or None where they chose none.

    Raises:
        EngineMissing: what they chose is not an executable file; nothing else is tried in its place.
    """
    if override is not None:
        return _executable(override, f"--thor-engine {engine}={override}")
    named = (os.environ if environ is None else environ).get(variable(engine))
    return _executable(Path(named), f"{variable(engine)}={named}") if named else None


def find(engine: str, program: str, override: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """Find the program of an engine; return its absolute path (links kept).

    Raises:
        EngineMissing: it is nowhere; the message lists every place.
    """
    environ = os.environ if environ is None else environ
    path = chosen(engine, override, environ)
    if path is not None:
        return path
    folders = _own_folders()
    for folder in folders:
        if _is_program(folder / program):
            return folder / program
    found = shutil.which(program, path=_absolute_folders(environ.get("PATH", os.defpath)))
    if found:
        return Path(found)
    looked = "\n".join(f"  {folder / program}" for folder in folders)
    raise EngineMissing(
        f"{engine}: {program} is not installed. Looked at:\n"
        f"  --thor-engine {engine}=PATH (not given)\n"
        f"  {variable(engine)} (not set)\n{looked}\n"
        f"  every folder of PATH\n"
        f"Run `make` in a clone of pytest-thor, which builds it for this Python, or build llama.cpp and say "
        f"--thor-engine {engine}=/path/to/{program}."
    )


def _absolute_folders(path: str) -> str:
    """Return ``PATH`` without what depends on where one stands, as an empty entry does: there anybody may put one."""
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if Path(folder).is_absolute())


def _own_folders() -> list[Path]:
    """Where this Python's installation keeps programs: beside its packages (as wheels put them), then its own."""
    packages = [sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
    if site.ENABLE_USER_SITE:
        packages.append(site.getusersitepackages())
    folders = [Path(package) / "bin" for package in packages] + [Path(sys.prefix) / "bin"]
    return list(dict.fromkeys(folders))


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _executable(path: Path, source: str) -> Path:
    path = path.expanduser().absolute()
    if path.is_dir():
        raise EngineMissing(f"{source}: {path} is a folder; give the program in it")
    if not path.exists():
        raise EngineMissing(f"{source}: {path} does not exist")
    if not _is_program(path):
        raise EngineMissing(f"{source}: {path} is not executable (chmod +x?)")
    return path
