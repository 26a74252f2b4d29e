"""Time, memory and size of the HTML report, and how long Chromium takes to open it; no engine is needed.

    python -m benchmarks.report_html [CELLS ...]

Each report is rendered in a process of its own; the memory is that process's peak, the document's own included. Opened
means that the counts, every picture and the first rows are drawn, in a fresh headless Chromium at 1440 × 900; the
smallest of five. Targets: 1,000 cells open within 2 s, 10,000 are rendered within 5 s, the page without data is below
5 MB.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_thor.report.html.page import render
from pytest_thor.report.outputs import FORMATS
from tests.unit.report.chromium import browser, chromium, open_page
from tests.unit.report.made_runs import made_run

_TRIES = 5


def measure(cells: int, file: Path) -> None:
    """Render a made-up run into a file, and print what it took."""
    document = made_run(cells)
    render(made_run(0))  # the template and the libraries are read once in a process
    before_bytes = _peak_bytes()
    started, worked = time.perf_counter(), time.process_time()
    content = FORMATS["html"].content(document)
    spent = {"s": time.perf_counter() - started, "cpu_s": time.process_time() - worked}
    file.write_bytes(content)
    print(json.dumps({**spent, "peak": _peak_bytes(), "before": before_bytes, "size": len(content)}))


def opening_s(executable: str, file: Path, profile: Path) -> float:
    """Return how long a fresh browser takes from the address to a page that has drawn itself."""
    with browser(executable, profile) as driven:
        page = open_page(driven, file)
        return float(page.run("performance.getEntriesByName('drawn')[0].startTime")) / 1000


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print the table."""
    if len(sys.argv) == 3 and not sys.argv[2].isdigit():
        measure(int(sys.argv[1]), Path(sys.argv[2]))
        return
    executable = chromium()
    print("|  cells | render, s | of it CPU, s | peak MiB | of it the document | file MiB | opened, s |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for cells in map(int, sys.argv[1:] or ("0", "100", "1000", "10000")):
            file = Path(folder) / f"{cells}.html"
            command = [sys.executable, "-m", "benchmarks.report_html", str(cells), str(file)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            opened = "no Chromium"
            if executable:
                tries = [opening_s(executable, file, Path(folder) / f"{cells}-{one}") for one in range(_TRIES)]
                opened = f"{min(tries):.2f}"
            memory = f"{row['peak'] / 2**20:.0f} | {row['before'] / 2**20:.0f}"
            size = f"{row['size'] / 2**20:.1f}"
            print(f"| {cells} | {row['s']:.2f} | {row['cpu_s']:.2f} | {memory} | {size} | {opened} |")


if __name__ == "__main__":
    main()
