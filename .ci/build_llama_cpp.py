"""Build llama.cpp with its tools from the source package of llama-cpp-python, once, and print the wheel's path.

The wheel holds the Python bindings and llama-bench, llama-server, llama-quantize and their kin. It is kept
outside the clone, under a key of everything that shapes it: version, flags, compiler and processor. Beside it lies
llama.cpp's own compare-llama-bench.py, which a test reads our exports with.

    python3 .ci/build_llama_cpp.py [--cuda-arch 110] [--version 0.3.36]
    python3 .ci/build_llama_cpp.py [--cuda-arch 110] [--version 0.3.36] --folder    # where the wheel is, or will be

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import deque
from pathlib import Path

VERSION = "0.3.36"
FLAGS = (
    "-DLLAVA_BUILD=OFF",
    "-DLLAMA_BUILD_TOOLS=ON",
    "-DLLAMA_BUILD_SERVER=ON",
    "-DLLAMA_TOOLS_INSTALL=ON",
    "-DLLAMA_USE_PREBUILT_UI=OFF",  # else the build downloads a web page's files
    "-DCMAKE_INSTALL_RPATH=$ORIGIN/../lib",  # the programs find their libraries wherever the wheel is installed
)
SCRIPT = "vendor/llama.cpp/scripts/compare-llama-bench.py"
RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")
SHAPING = re.compile(
    r"CC|CXX|CUDACXX|CUDAHOSTCXX|CUDAARCHS|(?:C|CXX|CUDA|LD)FLAGS|NVCC_\w+_FLAGS|CMAKE_(?!ARGS$)\w+|SKBUILD_\w+"
)
"""Variables of the environment, beside CMAKE_ARGS, that CMake, the compilers and the wheel's builder heed."""
STEP = re.compile(r"\[(\d+)/(\d+)\]")


def main() -> int:
    """Build, or find what was built before; the path goes to standard output, everything else to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuda-arch", default="", help="CUDA compute capability without the dot: 110 is Jetson Thor")
    parser.add_argument("--version", default=VERSION, help=f"of llama-cpp-python; default {VERSION}")
    parser.add_argument("--folder", action="store_true", help="build nothing; print the folder, whose name is the key")
    given = parser.parse_args()
    cuda_arch, release = given.cuda_arch, given.version or VERSION
    if not (RELEASE.fullmatch(release) and re.fullmatch(r"[0-9;a-z-]*", cuda_arch)):
        print(
            f"{release!r} or {cuda_arch!r}: expected a version such as {VERSION} and digits such as 110",
            file=sys.stderr,
        )
        return 2
    flags = [*FLAGS, *([f"-DCMAKE_CUDA_ARCHITECTURES={cuda_arch}", "-DGGML_CUDA=ON"] if cuda_arch else [])]
    environment = tool_environment()
    problem = missing_tool(cuda_arch, environment["PATH"])
    if problem:
        print(problem, file=sys.stderr)
        return 1
    folder = cache_folder() / f"llama-cpp-python-{release}-{key(flags, environment)}"
    if given.folder:
        print(folder)
        return 0
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        wheel = build(folder, release, flags, environment)
    if wheel is None:
        return 1
    if not (folder / Path(SCRIPT).name).is_file():  # a wheel that an earlier version of this file built
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            source = download(Path(temporary), release, environment)
            if source is None or not keep_script(source, folder):
                print(f"{Path(SCRIPT).name} is not to be had; the test that needs it is skipped.", file=sys.stderr)
    print(wheel)
    return 0


def tool_environment() -> dict[str, str]:
    """Return the environment of the build: CUDA's own folder is searched even where the shell's PATH lacks it."""
    return {**os.environ, "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/cuda/bin"])}


def missing_tool(cuda_arch: str, path: str) -> str | None:
    """Return one sentence about what must be installed first, or None."""
    if not compiler(path):
        return (
            "No C++ compiler was found, and llama.cpp is built from source: install one "
            "(Debian and Ubuntu: sudo apt install build-essential), then run make again."
        )
    if cuda_arch and not shutil.which("nvcc", path=path):
        return (
            f"CUDA_ARCH={cuda_arch} needs CUDA's compiler, and nvcc is neither on PATH nor in /usr/local/cuda/bin: "
            "install the CUDA toolkit (JetPack brings it), then run make again."
        )
    return None


def compiler(path: str) -> str | None:
    """Return the C++ compiler that CMake will find."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def cache_folder() -> Path:
    """Return where wheels are kept: outside the clone, so that a fresh clone finds them."""
    given = os.environ.get("THOR_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-thor"
    return base / "wheels"


def key(flags: list[str], environment: dict[str, str]) -> str:
    """Return what tells two builds apart: the code is tuned to this processor, so its features belong to it."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    features = re.findall(r"^(?:flags|Features|model name|CPU part)\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    tools = [version(compiler(environment["PATH"])), version(shutil.which("nvcc", path=environment["PATH"]))]
    told = sorted(f"{name}={value}" for name, value in os.environ.items() if SHAPING.fullmatch(name))
    parts = [*flags, platform.machine(), *sorted(set(features)), *tools, os.environ.get("CMAKE_ARGS", ""), *told]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def version(program: str | None) -> str:
    """Return what a program says of itself."""
    if program is None:
        return ""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout


def build(folder: Path, release: str, flags: list[str], environment: dict[str, str]) -> Path | None:
    """Build into a temporary folder and move the whole into place, so that a half-built wheel is never found."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"Building llama.cpp (llama-cpp-python {release}); this takes minutes, and only once.", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        target = Path(temporary) / "wheel"
        source = download(Path(temporary), release, environment)
        if source is None:
            print(f"The source of llama-cpp-python {release} could not be downloaded.", file=sys.stderr)
            return None
        command = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-deps", "--no-cache-dir"]
        command += ["--wheel-dir", str(target), str(source)]
        arguments = " ".join([*flags, os.environ.get("CMAKE_ARGS", "")]).strip()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**environment, "CMAKE_ARGS": arguments},
        )
        tail = show_progress(process)
        if process.wait() != 0:
            print("The build failed; the end of its log:\n", *tail, sep="", file=sys.stderr)
            return None
        keep_script(source, target)
        if not folder.exists():  # another build may have come first
            target.rename(folder)
    return next(folder.glob("*.whl"))


def download(folder: Path, release: str, environment: dict[str, str]) -> Path | None:
    """Return the source package of llama-cpp-python, brought into a folder by pip; None where pip cannot."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", "llama-cpp-python", "--dest", str(folder), f"llama-cpp-python=={release}"]
    done = subprocess.run(command, stdout=sys.stderr, env=environment, check=False)
    return next(folder.glob("llama_cpp_python-*.tar.gz"), None) if done.returncode == 0 else None


def keep_script(source: Path, folder: Path) -> bool:
    """Put compare-llama-bench.py out of a source package into a folder; tell whether it was there."""
    with tarfile.open(source) as package:
        found = next((member for member in package if member.name.endswith(f"/{SCRIPT}")), None)
        file = None if found is None else package.extractfile(found)
        if file is None:
            return False
        (folder / Path(SCRIPT).name).write_bytes(file.read())
    return True


def show_progress(process: subprocess.Popen[str]) -> deque[str]:
    """Show compile steps as they pass, on one moving line or a line in twenty; return the log's end."""
    assert process.stdout is not None
    tail: deque[str] = deque(maxlen=60)
    moving = sys.stderr.isatty()
    for line in process.stdout:
        tail.append(line)
        step = STEP.search(line)
        if step is None:
            continue
        done, total = int(step[1]), int(step[2])
        if moving or done % 20 == 0 or done == total:
            print(f"llama.cpp: compiled {done} of {total}", end="\r" if moving else "\n", file=sys.stderr, flush=True)
    if moving:
        print(file=sys.stderr)
    return tail


if __name__ == "__main__":
    sys.exit(main())
