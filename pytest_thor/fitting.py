"""Before a launch: what a cell needs, held against the memory of this machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import psutil

from pytest_thor.artifacts.cost import cost_of_artifact
from pytest_thor.artifacts.fit import Fit, Memory, need_of
from pytest_thor.artifacts.found import weight_files
from pytest_thor.artifacts.gguf_model import read_model
from pytest_thor.artifacts.hf_config import read_config, whole_number
from pytest_thor.cell import Cell, Setting
from pytest_thor.host.device import Device

_SPLITTING = frozenset({"-cmoe", "--cpu-moe", "-ncmoe", "--n-cpu-moe", "-ot", "--override-tensor", "-nkvo"})


def memory_of(device: Device, *, gpu_only: bool = False) -> Memory | None:
    """Return what a machine can hold a model in, None where nothing tells.

    A board whose GPU shares the host's memory has that; what the page cache holds counts as available, because the
    kernel gives it back (pytest-thor drops it between launches where it may). A machine with GPUs of their own has
    theirs and the host's together, or only theirs where ``gpu_only``.
    """
    if device.memory_bytes is None:
        return None
    available = psutil.virtual_memory().available
    own = [gpu.memory_bytes for gpu in device.gpus if gpu.memory_bytes is not None]
    if device.l4t is not None or (device.gpus and not own):
        return Memory(name="unified memory", total_bytes=device.memory_bytes, available_bytes=available, unified=True)
    if not own:
        return Memory(name="memory", total_bytes=device.memory_bytes, available_bytes=available)
    names = sorted({gpu.name for gpu in device.gpus})
    if gpu_only:
        return Memory(name=f"memory of {', '.join(names)}", total_bytes=sum(own))
    return Memory(
        name=f"memory of {', '.join(names)} and the host",
        total_bytes=sum(own) + device.memory_bytes,
        available_bytes=sum(own) + available,
    )


def fit_of(cell: Cell, path: Path, device: Device) -> Fit | None:
    """Return what a cell's launch needs and what there is, None where one of them is not known.

    Not known are servers that are attached to, models of no known shape, and contexts that only the engine chooses.

    Raises:
        ArtifactError: the model's files are not sound.
    """
    settings = dict(cell.backend.settings)
    context = _context(cell, settings, path)
    if context is None or not (path.is_file() or path.is_dir()):
        return None
    alone = _all_on_gpu(cell, settings, device)
    memory = memory_of(device, gpu_only=alone)
    cost = cost_of_artifact(path, quant=cell.quant, architecture=cell.model.architecture, settings=settings)
    weights = _weights_bytes(path)
    if memory is None or cost is None or not weights:
        return None
    if alone and not memory.unified:  # the input table stays with the host
        weights = min(weights, round(cost.weight_bytes(math.inf)))
    tokens, sequences = context
    need = need_of(
        cost,
        weights_bytes=weights,
        context=tokens,
        engine=cell.backend.engine,
        sequences=sequences,
        ubatch=_whole(settings, "ubatch_size") or 512,
    )
    return Fit(need=need, memory=memory)


def _weights_bytes(path: Path) -> int:
    if path.is_file():
        return read_model(path).tensor_bytes
    return sum(file.stat().st_size for file in weight_files(path))


def _context(cell: Cell, settings: Mapping[str, Setting], path: Path) -> tuple[int, int] | None:
    """Return the tokens of the KV cache that a launch is bound to make, and over how many sequences."""
    if cell.kind == "quality":
        return cell.workload.count("ctx_size"), 1
    if cell.kind != "serving":
        asked = "n_prompt" if cell.kind == "prefill" else "n_gen"
        return cell.workload.count(asked) + cell.workload.count("n_depth"), 1
    if cell.backend.engine == "llama-server":
        over_all = _whole(settings, "ctx_size")
        return (over_all, _whole(settings, "parallel") or 1) if over_all else None
    if cell.backend.engine == "vllm":
        # vLLM takes what is left for its cache, and refuses to start where one longest request does not fit.
        longest = _whole(settings, "max_model_len")
        if longest is None and path.is_dir():
            longest = whole_number(read_config(path), "max_position_embeddings")
        return (longest, 1) if longest else None
    return None


def _all_on_gpu(cell: Cell, settings: Mapping[str, Setting], device: Device) -> bool:
    """Tell whether nothing of the model may stay in the host's memory."""
    if cell.backend.engine == "vllm":
        return bool(device.gpus)
    layers = settings.get("n_gpu_layers", settings.get("gpu_layers"))
    everything = isinstance(layers, int) and not isinstance(layers, bool) and (layers < 0 or layers >= 99)
    extra = settings.get("extra_args")
    splits = isinstance(extra, tuple) and not _SPLITTING.isdisjoint(extra)
    return bool(device.gpus) and everything and not splits and not settings.get("no_kv_offload")


def _whole(settings: Mapping[str, Setting], name: str) -> int | None:
    value = settings.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
