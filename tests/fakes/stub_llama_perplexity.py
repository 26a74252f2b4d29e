#!/usr/bin/env python3
"""A llama-perplexity that calculates nothing and behaves as a script tells it to; standard library only.

The script is a JSON object beside the program (``llama-perplexity.json`` beside ``llama-perplexity``). Its keys, all
optional:

- ``perplexities``: the running value after each chunk (default 10, 11, 12, 13), or one such list by the name of the
  model's file; ``kld``: the mean divergence (default 0.0123)
- ``tokens``: how many the text has (default 100,000); ``vocabulary``: how many the model knows (default 32)
- ``lose``: how many runs end before their last lines are printed
- ``short_by``: bytes that the logits lack, as on a full disk
- ``fault``: ``crash``, ``hang``, ``vocabulary`` or ``decode``; ``of``: only with this model's file

Every run adds a line with its arguments to ``llama-perplexity.runs``.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

HELP = """----- common params -----

-h,    --help, --usage                  print usage and exit
--version                               show version and build info
-t,    --threads N                      number of CPU threads to use during generation (default: -1)
-c,    --ctx-size N                     size of the prompt context (default: 512, 0 = loaded from model)
-b,    --batch-size N                   logical maximum batch size (default: 2048)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
-ctk,  --cache-type-k TYPE              KV cache data type for K
-ngl,  --gpu-layers, --n-gpu-layers N   max. number of layers to store in VRAM, either an exact number,
                                        'auto', or 'all' (default: auto)

----- example-specific params -----

--chunks N                              max number of chunks to process (default: -1, -1 = all)
--warmup, --no-warmup                   whether to perform warmup with an empty run (default: enabled)
--kl-divergence                         computes KL-divergence to logits provided via --kl-divergence-base
--save-all-logits, --kl-divergence-base FNAME
                                        set logits file
--ppl-output-type <0|1>                 output type for perplexity calculation (default: 0)
"""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Stub:
    """One run of the program."""

    def __init__(self, program: Path, arguments: list[str]) -> None:
        script = program.with_name(program.name + ".json")
        self.script = json.loads(script.read_text()) if script.exists() else {}
        self.arguments = arguments
        self.runs = program.with_name(program.name + ".runs")
        self.model = Path(self.option("-m", "")).name
        self.ctx_size = int(self.option("-c", "512"))
        self.vocabulary = self.script.get("vocabulary", 32)
        told = self.script.get("perplexities", [10, 11, 12, 13])
        self.perplexities = told.get(self.model, [10, 11, 12, 13]) if isinstance(told, dict) else told

    def option(self, name: str, default: str) -> str:
        return self.arguments[self.arguments.index(name) + 1] if name in self.arguments else default

    def main(self) -> int:
        if "--help" in self.arguments:
            print(HELP)
            return 0
        if "--version" in self.arguments:
            print("version: 0.0.0-stub (build 7, commit abcdef0)")
            return 0
        with self.runs.open("a+") as file:
            file.seek(0)
            before = len(file.readlines())
            file.write(json.dumps(self.arguments) + "\n")
        self.loses = before < self.script.get("lose", 0)
        return self.divergence() if "--kl-divergence" in self.arguments else self.perplexity()

    def fault(self) -> int | None:
        fault = self.script.get("fault") if self.script.get("of", self.model) == self.model else None
        if fault == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if fault == "hang":
            time.sleep(600)
        if fault == "decode":
            say("0.00.1 E perplexity : failed to decode")
            return 0
        if fault == "vocabulary":
            say("0.00.1 E kl_divergence: inconsistent vocabulary (32 vs 33)")
        return None

    def perplexity(self) -> int:
        text = Path(self.option("-f", ""))
        text.read_bytes()
        tokens = self.script.get("tokens", 100_000)
        if tokens < 2 * self.ctx_size:
            say(f"0.00.1 E perplexity: you need at least {2 * self.ctx_size} tokens to evaluate perplexity")
            say(f"0.00.1 E perplexity: the data file you provided tokenizes to only {tokens} tokens")
            return 0
        chunks = min(tokens // self.ctx_size, int(self.option("--chunks", str(len(self.perplexities)))))
        say(f"0.00.1 I perplexity: calculating perplexity over {chunks} chunks, n_ctx={self.ctx_size}, batch_size=64")
        if (code := self.fault()) is not None:
            return code
        print("0.00 minutes", flush=True)
        for number, value in enumerate(self.perplexities[:chunks]):
            if self.loses and number == chunks - 1:
                break
            print(f"{number * self.ctx_size:8d}  {float(value):.4f}  2.300000  0.050000", flush=True)
        if "--kl-divergence-base" in self.arguments:
            self.write(Path(self.option("--kl-divergence-base", "")), chunks)
        if not self.loses:
            say(f"0.00.1 I Final estimate: PPL = {float(self.perplexities[chunks - 1]):.4f} +/- 1.00000")
        return 0

    def write(self, path: Path, chunks: int) -> None:
        row = 2 * ((self.vocabulary + 1) // 2) + 4
        rest = 4 * chunks * self.ctx_size + 2 * chunks * (self.ctx_size - 1 - self.ctx_size // 2) * row
        head = struct.pack("<8s3i", b"_logits_", self.ctx_size, self.vocabulary, chunks)
        path.write_bytes((head + bytes(rest))[: len(head) + rest - self.script.get("short_by", 0)])

    def divergence(self) -> int:
        with Path(self.option("--kl-divergence-base", "")).open("rb") as file:
            _, _, _, chunks = struct.unpack("<8s3i", file.read(20))
        say(f"0.00.1 I kl_divergence: computing over {chunks} chunks, n_ctx={self.ctx_size}, batch_size=64, n_seq=1")
        if (code := self.fault()) is not None:
            return code
        print("0.00 minutes\n\nchunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence")
        for number, value in enumerate(self.perplexities[:chunks], 1):
            beside = "-0.00178 ±    0.00736       0.00148 ±    0.00003     0.005 ±  0.001 %"
            print(f"{number:4d}    {float(value):9.4f} ±    1.0000      {beside}")
        if self.loses:
            return 0
        print("\n====== Perplexity statistics ======")
        print(f"Mean PPL(Q)                   : {float(self.perplexities[chunks - 1]):10.6f} ±   1.000000")
        print("Cor(ln(PPL(Q)), ln(PPL(base))):  98.34%")
        print("====== KL divergence statistics ======")
        print(f"Mean    KLD: {float(self.script.get('kld', 0.0123)):10.6f} ±   0.000100")
        print("99.9%   KLD:   0.100000")
        print("Same top p: 96.774 ± 1.200 %", flush=True)
        return 0


if __name__ == "__main__":
    sys.exit(Stub(Path(sys.argv[0]), sys.argv[1:]).main())
