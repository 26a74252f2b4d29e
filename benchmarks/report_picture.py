"""The pictures of a report in README and docs: the top of the page and what is below, light and dark, of a real run.

    python -m benchmarks.report_picture thor-report docs/images

The folder of the report is that of any finished run; the page is rendered anew and shown 1600 pixels wide at two dots a
pixel. Needs Chromium.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

from pytest_thor.report.html.page import render
from pytest_thor.report.reading import read
from tests.unit.report.chromium import Page, browser, chromium, open_page

_WIDTH = 1600
_BEST_QUALITY = 85
_MOST_BYTES = 400_000
_MARGIN = 8


def main() -> None:
    """Write the pictures and say how large each is."""
    report, folder = Path(sys.argv[1]), Path(sys.argv[2])
    executable = chromium()
    if executable is None:
        sys.exit("no Chromium: apt install chromium, or THOR_CHROMIUM=PATH")
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "report.html"
        file.write_text(render(read(report)), encoding="utf-8")
        with browser(executable, Path(temporary) / "profile") as driven:
            for dark in (False, True):
                page = open_page(driven, file, width=_WIDTH, height=1000, dark=dark)
                page.call(
                    "Emulation.setDeviceMetricsOverride", width=_WIDTH, height=1000, deviceScaleFactor=2, mobile=False
                )
                theme = "dark" if dark else "light"
                middle = _edge(page, '[data-picture="Size against speed"]', "bottom") + _MARGIN
                end = _edge(page, "#pictures", "bottom") + _MARGIN
                _write(page, folder / f"report-{theme}.webp", 0, middle)
                _write(page, folder / f"pictures-{theme}.webp", middle, end)


def _edge(page: Page, selector: str, side: str) -> float:
    return float(page.run(f"document.querySelector({selector!r}).getBoundingClientRect().{side} + scrollY"))


def _write(page: Page, path: Path, top: float, bottom: float) -> None:
    clip = {"x": 0, "y": top, "width": _WIDTH, "height": bottom - top, "scale": 1}
    for quality in range(_BEST_QUALITY, 0, -5):
        shot = page.call(
            "Page.captureScreenshot", format="webp", quality=quality, captureBeyondViewport=True, clip=clip
        )
        content = base64.b64decode(shot["data"])
        if len(content) <= _MOST_BYTES:
            break
    path.write_bytes(content)
    print(f"{path}: {_WIDTH * 2} × {round((bottom - top) * 2)} pixels, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
