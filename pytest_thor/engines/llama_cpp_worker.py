"""llama-bench's procedure through llama-cpp-python's low-level API, in a process of its own.

A script that needs the standard library and ``llama_cpp`` only, since the interpreter that runs it may belong to
another environment: ``python llama_cpp_worker.py --identify`` prints one JSON object; ``python llama_cpp_worker.py``
reads one request from standard input and writes a row per test in llama-bench's fields. Steps and the library's
warnings go to standard error.

The procedure: a new context of n_prompt + n_gen + n_depth tokens per test; one warm-up (the whole prompt, or one
generated token); per repetition an emptied memory, the depth filled outside the timed window, then the prompt in
chunks of n_batch with one synchronization at the end, or one token at a time with a synchronization each.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import llama_cpp
from llama_cpp import llama_cpp as api

Native: TypeAlias = Any  # a ctypes pointer, structure, array or function of a library without types

LOG_LEVELS_SHOWN = (2, 3)  # warnings and errors
MAX_THREADS = 512  # GGML_MAX_N_THREADS
SPLIT_MODES = {"none": 0, "layer": 1, "row": 2, "tensor": 3}
NUMA = {"distribute": 1, "isolate": 2, "numactl": 3}
FIELDS = {
    **{name: (name,) for name in ("n_gpu_layers", "main_gpu", "split_mode", "tensor_split", "no_host")},
    "flash_attn": ("flash_attn_type", "flash_attn"),
    "cache_type_k": ("type_k",),
    "cache_type_v": ("type_v",),
    "no_kv_offload": ("offload_kqv",),
    "no_op_offload": ("op_offload",),
    "mmap": ("load_mode", "use_mmap"),
    "repack": ("use_extra_bufts",),
}
"""The settings that not every build can carry, and the fields of its structures of which each needs one."""


def main() -> int:
    """Answer one request; return the exit status."""
    rows = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # native code may print to standard output; rows have it to themselves
    api.llama_log_set(_log, ctypes.c_void_p(0))
    api.llama_backend_init()
    if sys.argv[1:] == ["--identify"]:
        print(json.dumps(identify()), file=rows, flush=True)
        return 0
    request = json.load(sys.stdin)
    gc.disable()  # little garbage is made here, and none of its collections may fall into a measurement
    bench = Bench(request["model"], request["settings"])
    tests = request["tests"]
    for index, test in enumerate(tests, start=1):
        row = bench.measure(test, f"llama-bench: benchmark {index}/{len(tests)}")
        print(json.dumps(row), file=rows, flush=True)
    bench.close()
    return 0


def identify() -> dict[str, Any]:
    """Say which build this is and which settings it can carry."""
    fields = {field[0] for kind in (api.llama_model_params, api.llama_context_params) for field in kind._fields_}
    carried = {"threads", "batch_size", "ubatch_size"}
    carried |= {name for name, wanted in FIELDS.items() if fields.intersection(wanted)}
    carried |= {"poll"} if ThreadPool.calls() else set()
    carried |= {"numa"} if hasattr(api, "llama_numa_init") else set()
    return {
        "version": llama_cpp.__version__,
        "llama_version": _text("llama_version"),
        "build_commit": _text("ggml_commit"),
        "system_info": api.llama_print_system_info().decode(errors="replace").strip(),
        "settings": sorted(carried),
    }


class Bench:
    """A loaded model, and the tests run on it."""

    def __init__(self, path: str, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._threads: int = settings["threads"]
        if settings.get("numa"):
            api.llama_numa_init(NUMA[settings["numa"]])
        self._path = path
        self._shares: Any = None
        self._depth_state: tuple[int, Any] | None = None
        self._model = api.llama_model_load_from_file(os.fsencode(path), self._model_params())
        if not self._model:
            sys.exit(f"error: failed to load model '{path}'")
        self._vocab = api.llama_model_get_vocab(self._model)
        self._tokens = api.llama_vocab_n_tokens(self._vocab)
        self._random = random.Random(0)  # noqa: S311 - token ids; their values do not matter

    def close(self) -> None:
        """Free the model."""
        api.llama_model_free(self._model)

    def measure(self, test: dict[str, int], step: str) -> dict[str, Any]:
        """Run one test and return its row."""
        n_prompt, n_gen, n_depth = test["n_prompt"], test["n_gen"], test["n_depth"]
        _say(f"{step}: starting")
        params = self._context_params(n_prompt + n_gen + n_depth)
        context = api.llama_init_from_model(self._model, params)
        if not context:
            sys.exit(f"error: failed to create a context of {n_prompt + n_gen + n_depth} tokens")
        pool = ThreadPool(self._threads, self._settings.get("poll"))
        pool.attach(context)
        api.llama_set_n_threads(context, self._threads, self._threads)
        memory = api.llama_get_memory(context)
        word = "prompt" if n_prompt else "generation"
        prepare = self._prompt if n_prompt else self._generation

        _say(f"{step}: warmup {word} run")
        api.llama_memory_clear(memory, False)
        prepare(context, n_prompt or 1, params.n_batch)()
        samples_ns = []
        for repetition in range(1, test["repetitions"] + 1):
            run = prepare(context, n_prompt or n_gen, params.n_batch)
            api.llama_memory_clear(memory, False)
            if n_depth:
                _say(f"{step}: depth run {repetition}/{test['repetitions']}")
                self._fill(context, n_depth, params.n_batch)
            _say(f"{step}: {word} run {repetition}/{test['repetitions']}")
            begin = time.perf_counter_ns()  # nothing of Python's but the loop comes between here
            run()
            samples_ns.append(time.perf_counter_ns() - begin)
        _say(f"{step}: {word} runs are over")  # before what takes time and is not timed
        api.llama_free(context)
        pool.free()
        samples_ts = [(n_prompt + n_gen) * 1e9 / duration for duration in samples_ns]
        samples = {"samples_ns": samples_ns, "samples_ts": samples_ts}
        return {**self._row(params), **test, **samples, "threadpool": pool.kind}

    def _prompt(self, context: Native, count: int, n_batch: int) -> Callable[[], None]:
        """Prepare a prompt of random tokens; the returned function decodes it."""
        batches = []
        for begin in range(0, count, n_batch):
            tokens = self._random_tokens(min(n_batch, count - begin), opening=begin == 0)
            batches.append((tokens, api.llama_batch_get_one(tokens, len(tokens))))
        decode, synchronize = api.llama_decode, api.llama_synchronize

        def run() -> None:
            for _, batch in batches:
                if decode(context, batch):
                    sys.exit("error: failed to decode a prompt")
            synchronize(context)

        return run

    def _generation(self, context: Native, count: int, _n_batch: int) -> Callable[[], None]:
        """Prepare a generation of random tokens, decoded one at a time by the returned function."""
        tokens = list(self._random_tokens(count, opening=True))
        current = (api.llama_token * 1)()
        batch = api.llama_batch_get_one(current, 1)
        decode, synchronize = api.llama_decode, api.llama_synchronize

        def run() -> None:
            for token in tokens:
                current[0] = token
                if decode(context, batch):
                    sys.exit("error: failed to decode a token")
                synchronize(context)

        return run

    def _fill(self, context: Native, n_depth: int, n_batch: int) -> None:
        """Bring the memory to a depth; computed once, then put back from a copy, as llama-bench does."""
        if self._depth_state is not None and self._depth_state[0] == n_depth:
            state = self._depth_state[1]
            if api.llama_state_seq_set_data(context, state, len(state), 0):
                return
            api.llama_memory_clear(api.llama_get_memory(context), False)
        self._prompt(context, n_depth, n_batch)()
        self._depth_state = None  # let go of the old copy before the new one is made
        state = (ctypes.c_uint8 * api.llama_state_seq_get_size(context, 0))()
        api.llama_state_seq_get_data(context, state, len(state), 0)
        self._depth_state = (n_depth, state)

    def _random_tokens(self, count: int, *, opening: bool) -> Native:
        tokens = (api.llama_token * count)(*(self._random.randrange(self._tokens) for _ in range(count)))
        if opening and api.llama_vocab_get_add_bos(self._vocab):
            tokens[0] = api.llama_vocab_bos(self._vocab)
        return tokens

    def _model_params(self) -> Native:
        params = api.llama_model_default_params()
        given = self._settings
        for name in ("n_gpu_layers", "main_gpu", "no_host"):
            if given.get(name) is not None:
                setattr(params, name, given[name])
        if given.get("split_mode") is not None:
            params.split_mode = SPLIT_MODES[given["split_mode"]]
        if given.get("repack") is not None:
            params.use_extra_bufts = given["repack"]
        if given.get("mmap") is not None and hasattr(params, "load_mode"):
            params.load_mode = api.LLAMA_LOAD_MODE_MMAP if given["mmap"] else api.LLAMA_LOAD_MODE_NONE
        elif given.get("mmap") is not None:
            params.use_mmap = given["mmap"]
        if given.get("tensor_split"):
            self._shares = (ctypes.c_float * api.llama_max_devices())(*given["tensor_split"])
            params.tensor_split = self._shares
        return params

    def _context_params(self, n_ctx: int) -> Native:
        params = api.llama_context_default_params()
        given = self._settings
        params.n_ctx = n_ctx
        params.n_batch = given.get("batch_size") or 2048
        params.n_ubatch = given.get("ubatch_size") or 512
        params.n_threads = params.n_threads_batch = self._threads
        params.type_k = ggml_type(given.get("cache_type_k") or "f16")
        params.type_v = ggml_type(given.get("cache_type_v") or "f16")
        params.offload_kqv = not given.get("no_kv_offload")
        if hasattr(params, "op_offload"):
            params.op_offload = not given.get("no_op_offload")
        if hasattr(params, "swa_full"):
            params.swa_full = False
        if hasattr(params, "flash_attn_type"):
            params.flash_attn_type = {"on": 1, "off": 0}.get(given.get("flash_attn") or "auto", -1)
        else:
            params.flash_attn = given.get("flash_attn") == "on"
        return params

    def _row(self, params: Native) -> dict[str, Any]:
        name = ctypes.create_string_buffer(128)
        api.llama_model_desc(self._model, name, len(name))
        return {
            "model_filename": self._path,
            "model_type": name.value.decode(errors="replace"),
            "model_size": api.llama_model_size(self._model),
            "model_n_params": api.llama_model_n_params(self._model),
            "n_batch": params.n_batch,
            "n_ubatch": params.n_ubatch,
            "n_threads": self._threads,
            "type_k": self._settings.get("cache_type_k") or "f16",
            "type_v": self._settings.get("cache_type_v") or "f16",
            "n_gpu_layers": self._settings.get("n_gpu_layers", -1),
        }


class ThreadPool:
    """ggml's own pool of threads, as llama-bench attaches one; without it ggml makes one for every graph.

    llama-cpp-python binds neither call, so they are looked up in the libraries that it has loaded. A build without
    them is measured with what ggml does by itself, and the row says so. Builds with OpenMP compute on OpenMP's
    threads either way.
    """

    class Params(ctypes.Structure):
        """``struct ggml_threadpool_params``."""

        _fields_ = (
            ("cpumask", ctypes.c_bool * MAX_THREADS),
            ("n_threads", ctypes.c_int),
            ("prio", ctypes.c_int),
            ("poll", ctypes.c_uint32),
            ("strict_cpu", ctypes.c_bool),
            ("paused", ctypes.c_bool),
        )

    def __init__(self, threads: int, poll: int | None) -> None:
        self._calls = self.calls()
        self._pool = None
        self.kind = "none"
        if self._calls is not None:
            params = self.Params()
            self._calls["ggml_threadpool_params_init"](ctypes.byref(params), threads)
            if params.n_threads == threads:  # else the structure is not the one that this build uses
                params.poll = 50 if poll is None else poll
                self._pool = self._calls["ggml_threadpool_new"](ctypes.byref(params))
                self.kind = "attached"

    def attach(self, context: Native) -> None:
        """Let a context compute on these threads."""
        if self._pool and self._calls is not None:
            self._calls["llama_attach_threadpool"](context, self._pool, None)

    def free(self) -> None:
        """End the threads."""
        if self._pool and self._calls is not None:
            self._calls["ggml_threadpool_free"](self._pool)

    @staticmethod
    def calls() -> dict[str, Native] | None:
        """Look up what it takes; None where this build does not let a pool be attached."""
        pointer = ctypes.c_void_p
        wanted = {
            "ggml_threadpool_params_init": (None, [pointer, ctypes.c_int]),
            "ggml_threadpool_new": (pointer, [pointer]),
            "ggml_threadpool_free": (None, [pointer]),
            "llama_attach_threadpool": (None, [pointer, pointer, pointer]),
        }
        found = {}
        for name, (result, arguments) in wanted.items():
            function = _native(name)
            if function is None:
                return None
            function.restype, function.argtypes = result, arguments
            found[name] = function
        return found


def ggml_type(name: str) -> int:
    """Return the number of a cache type such as ``q8_0``."""
    number = getattr(api, f"GGML_TYPE_{name.upper()}", None)
    if not isinstance(number, int):
        sys.exit(f"error: this llama-cpp-python knows no cache type {name}")
    return number


def _say(step: str) -> None:
    os.write(2, f"{step}\n".encode())


@api.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore]
def _log(level: int, text: bytes, _data: Native) -> None:
    if level in LOG_LEVELS_SHOWN:
        os.write(2, text)


def _native(name: str) -> Native:
    """Find a function in the native libraries that llama_cpp has loaded already, or None."""
    loaded = {line.split()[-1] for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()}
    for path in sorted(path for path in loaded if "/libggml" in path or "/libllama" in path):
        with suppress(AttributeError, OSError):
            return getattr(ctypes.CDLL(path), name)
    return None


def _text(name: str) -> str | None:
    function = _native(name)
    if function is None:
        return None
    function.restype, function.argtypes = ctypes.c_char_p, []
    value = function()
    return value.decode(errors="replace") if value else None


if __name__ == "__main__":
    sys.exit(main())
