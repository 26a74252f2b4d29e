"""Sections of a matrix, as a page shows them, made into a whole one."""

from __future__ import annotations

SERVED = """\
models:
  qwen3-8b: {gguf: "{quant}.gguf", quants: [Q8_0, Q5_0, Q4_K_M]}
  hf: {hf: hf, quants: [BF16]}
"""
SERVING = "  load: {kind: serving, input_len: 1, output_len: 1, num_prompts: 1, max_concurrency: 1}\n"
BACKENDS = """\
backends:
  llama.cpp: {engine: llama-bench}
  llama-server: {engine: llama-server}
  vllm: {engine: vllm}
"""


def completed(part: str) -> str:
    """Return a whole matrix around one or two of its sections."""
    text = f"name: example\n{part}"
    if "models:" not in part:
        text += SERVED if "engine: vllm" in part or "serving" in part else SERVED.rpartition("  hf:")[0]
        text = text.replace("quants: [Q8_0, ", "quants: [F16, Q8_0, ") if "F16" in part else text
    if "backends:" not in part:
        without_hf = "models:" not in part and "hf: {" not in text
        backends = BACKENDS.rpartition("  vllm")[0] if without_hf else BACKENDS
        only_served = "workloads:" in part and "prefill" not in part
        text += backends.replace("  llama.cpp: {engine: llama-bench}\n", "") if only_served else backends
    if "workloads:" not in part:
        text += "workloads:\n  tg128: {kind: decode, n_gen: 128}\n  pp512: {kind: prefill, n_prompt: 512}\n"
        text += SERVING if "llama-server" in text else ""
    if "synthetic:" in part:
        text += "exclude: [{model: qwen3-0.6b-synthetic, backend: vllm}]\n"
    return text
