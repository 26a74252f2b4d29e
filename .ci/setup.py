"""Make .venv with everything that `make bench` and `make test` need; a second run finds nothing to do.

    python3 .ci/setup.py [--cuda-arch 110]

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "pytest-thor-setup"
OLDEST_PYTEST = "9.1.*"


def main() -> int:
    """Bring .venv up to date with pyproject.toml and the llama.cpp build; return an exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cuda-arch", default="", help="build llama.cpp for this CUDA architecture: 110 is Jetson Thor"
    )
    if sys.version_info < (3, 10):  # noqa: UP036 - whatever python3 is runs this file
        return fail(f"Python 3.10 or newer is needed; this is {sys.version.split()[0]} (make PYTHON=python3.12).")
    cuda_arch = parser.parse_args().cuda_arch or remembered_cuda_arch()
    wanted = signature(cuda_arch)
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == wanted and PYTHON.exists():
        return 0
    STAMP.unlink(missing_ok=True)
    if not works() and run([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
        return fail("Python's venv module is missing (Debian and Ubuntu: sudo apt install python3-venv).")
    # One step after the other; the compiler is asked for first, since its absence is best known early.
    wheel = build_llama_cpp(cuda_arch)
    if wheel is None:
        return 1
    steps = [
        ["--upgrade", "pip"],
        ["--editable", f"{ROOT}[synthetic,xdist]", "--group", f"{ROOT / 'pyproject.toml'}:dev"],
        ["--force-reinstall", "--no-deps", wheel],
        [wheel],
        # The oldest pytest that is supported, beside the newest: `make test` runs the plugin's tests under both.
        ["--upgrade", "--no-deps", "--target", str(VENV / "oldest-pytest"), f"pytest=={OLDEST_PYTEST}"],
    ]
    for step in steps:
        if run([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *step]) != 0:
            return fail(f"pip could not install {' '.join(step)}.")
    script = Path(wheel).with_name("compare-llama-bench.py")
    if script.is_file():
        (VENV / "share" / "llama.cpp").mkdir(parents=True, exist_ok=True)
        shutil.copy(script, VENV / "share" / "llama.cpp")
    STAMP.write_text(wanted, encoding="utf-8")
    return 0


def works() -> bool:
    """Tell whether .venv is whole: one that was interrupted, or made without pip, is made anew."""
    if not os.access(PYTHON, os.X_OK):
        return False
    return subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def signature(cuda_arch: str) -> str:
    """Return what .venv depends on."""
    files = [ROOT / "pyproject.toml", Path(__file__), ROOT / ".ci" / "build_llama_cpp.py"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    return f"{digest.hexdigest()} {sys.version} {os.environ.get('CMAKE_ARGS', '')} cuda_arch={cuda_arch}\n"


def remembered_cuda_arch() -> str:
    """Return what .venv was made for, so that a later `make test` does not swap the engine of `make bench`."""
    return STAMP.read_text(encoding="utf-8").partition("cuda_arch=")[2].strip() if STAMP.is_file() else ""


def build_llama_cpp(cuda_arch: str) -> str | None:
    """Return the path of the llama-cpp-python wheel with llama.cpp's tools, or None after saying why not."""
    command = [str(PYTHON), str(ROOT / ".ci" / "build_llama_cpp.py"), "--cuda-arch", cuda_arch]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def run(command: list[str]) -> int:
    """Run a step, its output in view; return its exit status."""
    print("+", *command[:1], *[part for part in command[1:] if len(part) < 80], file=sys.stderr, flush=True)
    return subprocess.run(command, check=False).returncode


def fail(sentence: str) -> int:
    """Say what stands in the way."""
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
