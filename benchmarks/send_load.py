"""Sends one load with the plugin's client in a Python of its own, as ``side_by_side.py`` asks, and says what it was.

python benchmarks/send_load.py '{"seed": 1, "port": 8080, "parameters": {…}, "token_ids": [1000, []]}'
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any
from unittest.mock import patch

from pytest_thor.cell import Workload
from pytest_thor.serving.client import Client
from pytest_thor.serving.course import Callbacks, Limits, Run
from pytest_thor.serving.load import TokenIds, plan
from pytest_thor.serving.queue import RequestQueue
from pytest_thor.serving.run import run_load
from pytest_thor.serving.target import Target


def main(job: dict[str, Any]) -> int:
    """Send the load; print its medians, its tokens, and when its first request was sent (``perf_counter``)."""
    size, forbidden = job["token_ids"]
    workload = Workload(name="load", kind="serving", parameters=tuple(sorted(job["parameters"].items())))
    load = plan(workload, token_ids=TokenIds(size=size, forbidden=frozenset(forbidden)), seed=job["seed"])
    target = Target(host="127.0.0.1", port=job["port"], model="synthetic", dialect="llama-server")
    begun_s = []
    run = Client.run

    def noted(self: Client, queue: RequestQueue, limits: Limits, callbacks: Callbacks) -> Run:
        begun_s.append(time.perf_counter())
        return run(self, queue, limits, callbacks)

    with patch.object(Client, "run", noted):
        result = run_load(load, workload, target, on_progress=lambda *_: None, server_died=lambda: None, timeout_s=600)
    told = {
        "failure": result.failure or "; ".join(result.doubts) or None,
        "medians": {name: statistics.median(values) for name, values in result.samples.items()},
        "tokens": result.evidence["tokens"]["output"],
        "first_sent_s": begun_s[0],
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(json.loads(sys.argv[1])))
