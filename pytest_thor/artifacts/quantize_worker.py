"""llama-quantize for installations of llama-cpp-python that lack the program.

``python -m pytest_thor.artifacts.quantize_worker INPUT OUTPUT FILE_TYPE THREADS``, the file type being its number.
A process of its own, because a fault in native code ends the process that it happens in.
"""

from __future__ import annotations

import ctypes
import sys

import llama_cpp


def main(source: str, target: str, file_type: str, threads: str) -> int:
    """Quantize one GGUF file and return the exit status."""
    print(f"llama-cpp-python {llama_cpp.__version__}", flush=True)
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = int(file_type)
    settings.nthread = int(threads)
    return int(llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(settings)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
