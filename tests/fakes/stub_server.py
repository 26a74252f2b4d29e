"""A llama-server or vLLM that computes nothing and behaves as a script tells it to; standard library only.

The script is a JSON object in ``PROGRAM.json``; PROGRAM is the first argument, the server's own follow. Its keys, all
optional:

- ``never_ready``: true answers /health with 503 for ever
- ``dies_loading``: lines that are printed before it ends with exit status 1, without ever listening
- ``taken_times``: so many starts end as if another program had the port
- ``dies_at``: the request (counted from 1, warm-up included) in whose answer it dies; ``dies_at_starts`` how many
  starts do so (default 1)
- ``workers``: so many children, each in a session of its own, that ignore SIGTERM
- ``n_ctx``, ``slots``, ``max_model_len``: what it says of its context
- ``cached``: prompt tokens of each request that it says came from its cache; ``hits`` the same for its /metrics only
- ``counts``: true has /metrics tell of all tokens, as both engines do; ``lags_s`` is how long those lag behind
- ``held_s``: seconds after which an answer comes, all at once
- ``short``: tokens of each output that it leaves out
- ``flood``: bytes that it prints while it loads
- ``key``: the key without which it answers 401, and which it repeats in that answer
- ``help``: the text of its --help

Every process of it adds its id to ``PROGRAM.pids``, and every start a line to ``PROGRAM.starts``: its arguments and
the variables LLAMA_API_KEY and VLLM_CPU_KVCACHE_SPACE.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HELP = """----- common params -----

-h,    --help, --usage                  print usage and exit
--version                               show version and build info
-t,    --threads N                      number of CPU threads to use during generation (default: -1)
                                        (env: LLAMA_ARG_THREADS)
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
-m,    --model FNAME                    model path to load
-np,   --parallel N                     number of server slots (default: -1, -1 = auto)
-a,    --alias STRING                   set model name aliases, comma-separated (to be used by API)
--host HOST                             ip address to listen, or bind to an UNIX socket
--port PORT                             port to listen (default: 8080)
--ui,  --webui, --no-ui, --no-webui     whether to enable the Web UI (default: enabled)
"""
WORKER = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"


class Stub:
    """One run of the program."""

    def __init__(self, program: str, arguments: list[str]) -> None:
        self.program, self.arguments = program, arguments
        self.script = json.loads(Path(f"{program}.json").read_text())
        self.requests = 0
        self.hits = 0
        self.counted: list[tuple[float, int, int]] = []
        self.lock = threading.Lock()
        self.note("pids", str(os.getpid()))

    def note(self, file: str, line: str) -> None:
        with Path(f"{self.program}.{file}").open("a") as opened:
            opened.write(f"{line}\n")

    def main(self) -> int:
        if "--help" in self.arguments:
            print(self.script.get("help", HELP))
            return 0
        if "--version" in self.arguments:
            print("0.32.0" if "vllm" in self.program else "version: 7 (abcdef01)")
            return 0
        variables = {name: os.environ.get(name) for name in ("LLAMA_API_KEY", "VLLM_CPU_KVCACHE_SPACE")}
        self.note("starts", json.dumps({"arguments": self.arguments, **variables}))
        starts = len(Path(f"{self.program}.starts").read_text().splitlines())
        self.dies = starts <= self.script.get("dies_at_starts", 1)
        for _ in range(self.script.get("workers", 0)):
            child = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, start_new_session=True)
            assert child.stdout is not None
            child.stdout.readline()
            self.note("pids", str(child.pid))
        for _ in range(self.script.get("flood", 0) // 1024):
            print("x" * 1023, file=sys.stderr)
        for line in self.script.get("dies_loading", []):
            print(line, file=sys.stderr)
        if "dies_loading" in self.script:
            return 1
        port = int(self.arguments[self.arguments.index("--port") + 1])
        if starts <= self.script.get("taken_times", 0):
            print(f"couldn't bind HTTP server socket, hostname: 127.0.0.1, port: {port}", file=sys.stderr)
            return 1
        self.server(port).serve_forever()
        return 0

    def server(self, port: int) -> ThreadingHTTPServer:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                self.answer(*stub.page(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if "key" in stub.script and self.headers.get("Authorization") != f"Bearer {stub.script['key']}":
                    self.answer(401, {"error": {"message": f"wrong key {self.headers.get('Authorization')}"}})
                    return
                stub.complete(self, json.loads(body))

            def answer(self, status: int, content: Any) -> None:
                if "key" in stub.script and self.headers.get("Authorization") != f"Bearer {stub.script['key']}":
                    status, content = 401, {"error": f"wrong key {self.headers.get('Authorization')}"}
                data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        return ThreadingHTTPServer(("127.0.0.1", port), Handler)

    def page(self, path: str) -> tuple[int, Any]:
        if path == "/health" and self.script.get("never_ready"):
            return 503, {"error": {"message": "Loading model"}}
        if path == "/v1/models":
            entry = {"id": "stub", "owned_by": "nobody", "max_model_len": self.script.get("max_model_len")}
            return 200, {"data": [entry]}
        if path == "/props":
            settings = {"n_ctx": self.script.get("n_ctx", 4096)}
            return 200, {"default_generation_settings": settings, "total_slots": self.script.get("slots", 1)}
        if path == "/metrics":
            return 200, f'vllm:prefix_cache_hits_total{{engine="0"}} {self.hits}.0\n' + self.counters()
        return (200, {"status": "ok"}) if path == "/health" else (404, {"error": "no such page"})

    def counters(self) -> str:
        if not self.script.get("counts"):
            return ""
        known_s = time.monotonic() - self.script.get("lags_s", 0.0)
        known = [(prompt, output) for ended_s, prompt, output in self.counted if ended_s <= known_s]
        prompt, output = (sum(each) for each in zip((0, 0), *known, strict=True))
        return (
            f"llamacpp:prompt_tokens_total {prompt}\n"
            f"llamacpp:tokens_predicted_total {output}\n"
            f'vllm:prompt_tokens_total{{engine="0"}} {prompt}.0\n'
            f'vllm:generation_tokens_total{{engine="0"}} {output}.0\n'
        )

    def complete(self, handler: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        """Stream as many tokens as are asked for."""
        cached = self.script.get("cached", 0)
        with self.lock:
            self.requests += 1
            number = self.requests
            self.hits += cached + self.script.get("hits", 0)
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        tokens = asked["max_tokens"] - self.script.get("short", 0)
        time.sleep(self.script.get("held_s", 0.0))
        for index in range(tokens):
            if index == 1 and self.dies and number == self.script.get("dies_at"):
                handler.wfile.flush()
                print("stub: CUDA error: out of memory", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGABRT)
            self.event(handler, {"choices": [{"index": 0, "text": " word", "finish_reason": None}]})
        with self.lock:
            self.counted.append((time.monotonic(), len(asked["prompt"]), tokens))
        usage = {
            "prompt_tokens": len(asked["prompt"]),
            "completion_tokens": tokens,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        self.event(handler, {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
        self.event(handler, {"choices": [], "usage": usage})
        self.event(handler, "[DONE]")
        handler.wfile.write(b"0\r\n\r\n")

    @staticmethod
    def event(handler: BaseHTTPRequestHandler, content: Any) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        data = f"data: {text}\n\n".encode()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


if __name__ == "__main__":
    sys.exit(Stub(sys.argv[1], sys.argv[2:]).main())
