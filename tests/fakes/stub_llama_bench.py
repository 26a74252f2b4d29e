#!/usr/bin/env python3
"""A llama-bench that measures nothing and behaves as a script tells it to; standard library only.

The script is a JSON object: beside the program (``llama-bench.json`` beside ``llama-bench``), or the text of the
environment variable STUB_LLAMA_BENCH. Its keys, all optional:

- ``pp_tps``, ``tg_tps``: speeds in tok/s (default 1000 and 100), or ``{"512": 900.0}`` by token count; a list has one
  speed per launch, and begins anew at its end
- ``fault``: what goes wrong, see FAULTS; ``after``: how many rows are printed before it does (default 0)
- ``edits``: ``[{"samples_ns": [1]}, …]`` fields to replace, by row; null removes one
- ``lacks``: options that this build has not; ``version``: false for builds without ``--version``, "killed" for one that
  dies of it
- ``twice``: true prints every row twice
- ``before``: lines of standard output before the first row
- ``in_time``: true lets each repetition take as long as it says that it took
- ``helper``: true starts a process in a session of its own with every launch, which never ends by itself

Every process of it adds its id to ``PROGRAM.pids`` where the script stands beside the program, and every launch a line
to ``PROGRAM.launches``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HELP = """usage: llama-bench [options]

options:
  -h, --help
  --version                                   show version and build info
  -r, --repetitions <n>                       number of times to repeat each test (default: 5)
  --prio <-1|0|1|2|3>                         process/thread priority (default: 0)
  --delay <0...N> (seconds)                   delay between each test (default: 0)
  -o, --output <csv|json|jsonl|md|sql>        output format printed to stdout (default: md)
  --progress                                  print test progress indicators
  --no-warmup                                 skip warmup runs before benchmarking

test parameters:
  -m, --model <filename>                            (default: models/7B/ggml-model-q4_0.gguf)
  -p, --n-prompt <n>                                (default: 512)
  -n, --n-gen <n>                                   (default: 128)
  -d, --n-depth <n>                                 (default: 0)
  -b, --batch-size <n>                              (default: 2048)
  -ub, --ubatch-size <n>                            (default: 512)
  -ctk, --cache-type-k <t>                          (default: f16)
  -ctv, --cache-type-v <t>                          (default: f16)
  -t, --threads <n>                                 (default: 2)
  -ngl, --n-gpu-layers <n>                          (default: -1)
  -nkvo, --no-kv-offload <0|1>                      (default: 0)
  -fa, --flash-attn <on|off|auto>                   (default: auto)
  -lm, --load-mode <auto|none|mmap|mlock|mmap+mlock|dio> (default: auto)
"""
VERSION = "version: 0.0.0-stub (build 7, commit abcdef0)\nbuilt with nothing for nobody\n"


class Stub:
    """One run of the program."""

    def __init__(self, program: Path, arguments: list[str]) -> None:
        sidecar = program.with_name(program.name + ".json")
        text = sidecar.read_text() if sidecar.exists() else os.environ.get("STUB_LLAMA_BENCH", "{}")
        self.script = json.loads(text)
        self.pids = program.with_name(program.name + ".pids") if sidecar.exists() else None
        self.arguments = arguments
        self.note_pid(os.getpid())

    def note_pid(self, pid: int) -> None:
        if self.pids is not None:
            with self.pids.open("a") as file:
                file.write(f"{pid}\n")

    def count_launch(self) -> int:
        """Return how many launches there were before."""
        if self.pids is None:
            return 0
        with self.pids.with_suffix(".launches").open("a+") as file:
            file.seek(0)
            before = len(file.readlines())
            file.write("launched\n")
        return before

    def option(self, name: str, default: str) -> str:
        return self.arguments[self.arguments.index(name) + 1] if name in self.arguments else default

    def main(self) -> int:
        lacks = self.script.get("lacks", [])
        if "--help" in self.arguments:
            lines = [line for line in HELP.splitlines() if not any(f"{name} " in f"{line} " for name in lacks)]
            if self.script.get("version") is False:
                lines = [line for line in lines if "--version" not in line]
            print("\n".join(lines))
            return 0
        if "--version" in self.arguments:
            if self.script.get("version") == "killed":
                self.killed()
            print(VERSION, end="")
            return 0
        for line in self.script.get("before", []):
            print(line, flush=True)
        self.launch = self.count_launch()
        if self.script.get("helper"):
            self.note_pid(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
        tests = [(int(n), 0) for n in self.option("-p", "512").split(",") if n != "0"]
        tests += [(0, int(n)) for n in self.option("-n", "128").split(",") if n != "0"]
        for index, (n_prompt, n_gen) in enumerate(tests):
            if self.script.get("after", 0) == index and "fault" in self.script:
                code = FAULTS[self.script["fault"]](self)
                if code is not None:
                    return code
            self.test(index, len(tests), n_prompt, n_gen)
        if self.script.get("after", 0) == len(tests) and "fault" in self.script:
            return FAULTS[self.script["fault"]](self) or 0
        return 0

    def test(self, index: int, count: int, n_prompt: int, n_gen: int) -> None:
        model = self.option("-m", "")
        step = f"llama-bench: benchmark {index + 1}/{count}:"
        repetitions, n_depth = int(self.option("-r", "5")), int(self.option("-d", "0"))
        word = "prompt" if n_prompt else "generation"
        self.progress(f"{step} starting")
        if not Path(model).exists():
            print(f"llama_bench: error: failed to load model '{model}'", file=sys.stderr)
            sys.exit(1)
        self.progress(f"{step} warmup {word} run")
        row = self.row(index, n_prompt, n_gen, n_depth, repetitions)
        for repetition in range(1, repetitions + 1):
            if n_depth:
                cached = " (cached)" if repetition > 1 or index else ""
                self.progress(f"{step} depth run {repetition}/{repetitions}{cached}")
            self.progress(f"{step} {word} run {repetition}/{repetitions}")
            if self.script.get("in_time"):
                time.sleep(row["samples_ns"][repetition - 1] / 1e9)
        for _ in range(2 if self.script.get("twice") else 1):
            print(json.dumps(row), flush=True)

    def progress(self, line: str) -> None:
        if "--progress" in self.arguments:
            print(line, file=sys.stderr, flush=True)

    def row(self, index: int, n_prompt: int, n_gen: int, n_depth: int, repetitions: int) -> dict[str, Any]:
        tokens = n_prompt + n_gen
        speed = self.script.get("pp_tps", 1000.0) if n_prompt else self.script.get("tg_tps", 100.0)
        if isinstance(speed, dict):
            speed = speed[str(tokens)]
        if isinstance(speed, list):
            speed = speed[self.launch % len(speed)]
        samples_ns = [round(tokens * 1e9 / speed * (1 + 0.001 * i)) for i in range(repetitions)]
        samples_ts = [float(f"{tokens * 1e9 / sample:.6g}") for sample in samples_ns]
        row: dict[str, Any] = {
            "build_commit": "abcdef0",
            "build_number": 7,
            "cpu_info": "stub",
            "gpu_info": "",
            "backends": "CPU",
            "model_filename": self.option("-m", ""),
            "model_type": "stub",
            "model_size": 1,
            "model_n_params": 1,
            "n_batch": int(self.option("-b", "2048")),
            "n_ubatch": int(self.option("-ub", "512")),
            "n_threads": int(self.option("-t", "2")),
            "cpu_mask": "0x0",
            "cpu_strict": False,
            "poll": 50,
            "type_k": self.option("-ctk", "f16"),
            "type_v": self.option("-ctv", "f16"),
            "n_gpu_layers": int(self.option("-ngl", "-1")),
            "n_cpu_moe": 0,
            "split_mode": "layer",
            "main_gpu": 0,
            "no_kv_offload": False,
            "flash_attn": -1,
            "devices": "auto",
            "tensor_split": "0.00",
            "tensor_buft_overrides": "none",
            "load_mode": "auto",
            "lazy_mode": "auto",
            "embeddings": False,
            "no_op_offload": 0,
            "no_host": False,
            "repack": True,
            "fit_target": 0,
            "fit_min_ctx": 0,
            "n_prompt": n_prompt,
            "n_gen": n_gen,
            "n_depth": n_depth,
            "test_time": "2026-01-01T00:00:00Z",
            "avg_ns": sum(samples_ns) // repetitions,
            "stddev_ns": 0,
            "avg_ts": sum(samples_ts) / repetitions,
            "stddev_ts": 0.0,
            "samples_ns": samples_ns,
            "samples_ts": samples_ts,
        }
        edits = self.script.get("edits", [])
        for name, value in (edits[index] if index < len(edits) else {}).items():
            if value is None:
                del row[name]
            else:
                row[name] = value
        return row

    def exit(self) -> int:
        print("stub: error: out of luck", file=sys.stderr)
        return 1

    def killed(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def crash(self) -> None:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)

    def garbage(self) -> int:
        sys.stdout.buffer.write(b"ggml_log: \xff\xfe nonsense\n{not json}\n[1, 2]\n" + b"\0" * 99 + b"\n")
        return 0

    def half_a_line(self) -> int:
        sys.stdout.write('{"n_prompt": 512, "n_gen": 0, "samples_ns": [1, ')
        return 0

    def quit_early(self) -> int:
        return 0

    def hang(self) -> None:
        while True:
            time.sleep(60)

    def ignore_sigterm(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.hang()

    def flood(self) -> None:
        while True:
            sys.stderr.write("stub: warning: and another one\n" * 1000)

    def flood_without_newline(self) -> None:
        while True:
            sys.stdout.write("x" * 65536)

    def leave_a_child(self) -> None:
        """Go on measuring, with a child in a session of its own that holds the streams open and never ends."""
        child = subprocess.Popen(
            [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"],
            start_new_session=True,
        )
        self.note_pid(child.pid)


FAULTS = {
    "exit": Stub.exit,
    "killed": Stub.killed,
    "crash": Stub.crash,
    "garbage": Stub.garbage,
    "half a line": Stub.half_a_line,
    "quit early": Stub.quit_early,
    "hang": Stub.hang,
    "ignore sigterm": Stub.ignore_sigterm,
    "flood": Stub.flood,
    "flood without newline": Stub.flood_without_newline,
    "leave a child": Stub.leave_a_child,
}

if __name__ == "__main__":
    sys.exit(Stub(Path(sys.argv[0]), sys.argv[1:]).main())
