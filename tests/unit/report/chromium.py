"""A headless Chromium driven over a pipe: no port is opened and no library is needed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_S = 30.0


def chromium() -> str | None:
    """Return the browser: what ``THOR_CHROMIUM`` names, else the first of its usual names on ``PATH``."""
    named = os.environ.get("THOR_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """Speaks the DevTools protocol: JSON messages that end in a zero byte, on file descriptors 3 and 4 of Chromium."""

    def __init__(self, commands: int, messages: int) -> None:
        self._commands, self._messages = commands, messages
        self._unread, self._last = b"", 0
        self.events: list[Json] = []

    def call(self, method: str, session: str | None = None, **parameters: Json) -> Json:
        """Return a method's result; what happens meanwhile is added to ``events``."""
        self._last += 1
        number = self._last
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> Json:
        until = time.monotonic() + PATIENCE_S
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._messages], [], [], max(until - time.monotonic(), 0))
            assert ready, "Chromium does not answer"
            got = os.read(self._messages, 1 << 20)
            assert got, "Chromium ended"
            self._unread += got
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self._seen = len(browser.events)

    def call(self, method: str, **parameters: Json) -> Json:
        """Return the result of a method of the DevTools protocol."""
        return self._browser.call(method, self._session, **parameters)

    def run(self, expression: str) -> Json:
        """Return the value of an expression, awaited where it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_until(self, condition: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + PATIENCE_S
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < until, f"never came true: {condition}\n{self.problems()}"
            time.sleep(0.02)

    def problems(self) -> list[str]:
        """Return what the console shows as an error or a warning, and every request that the page made."""
        found = []
        for event in self._browser.events[self._seen :]:
            method, parameters = event.get("method", ""), event.get("params", {})
            if event.get("sessionId") != self._session:
                continue
            if method == "Runtime.exceptionThrown":
                found.append(json.dumps(parameters["exceptionDetails"])[:2_000])
            elif (method == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "warning", "assert"}) or (
                method == "Log.entryAdded" and parameters["entry"]["level"] in {"error", "warning"}
            ):
                found.append(json.dumps(parameters)[:2_000])
            elif method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith("file:"):
                found.append(f"asked for {parameters['request']['url'][:200]}")
        return found

    def pdf(self) -> bytes:
        """Return the page as it prints."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])


@contextmanager
def browser(executable: str, profile: Path) -> Iterator[Browser]:
    """Run a browser with a profile of its own."""
    (read_commands, commands), (messages, write_messages) = os.pipe(), os.pipe()
    flags = [
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"),
    ]
    moved = f"import os, sys; os.dup2({read_commands}, 3); os.dup2({write_messages}, 4)"
    begun = f"{moved}; os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-ISc", begun, executable, *flags],
        pass_fds=(read_commands, write_messages),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_commands)
    os.close(write_messages)
    try:
        driven = Browser(commands, messages)
        yield driven
        with contextlib.suppress(AssertionError, OSError):
            driven.call("Browser.close")
    finally:
        os.close(commands)
        os.close(messages)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def open_page(
    driven: Browser, file: Path, *, width: int = 1440, height: int = 900, dark: bool = False, phone: bool = False
) -> Page:
    """Open a file in a tab of its own and wait until the report has drawn itself."""
    target = driven.call("Target.createTarget", url="about:blank")["targetId"]
    session = driven.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    page = Page(driven, session)
    for domain in ("Page", "Runtime", "Log", "Network"):
        page.call(f"{domain}.enable")
    page.call(
        "Emulation.setDeviceMetricsOverride",
        **_metrics(width, height, phone=phone),
    )
    media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    page.call("Emulation.setEmulatedMedia", features=media)
    page.call("Page.navigate", url=file.as_uri())
    page.wait_until("location.protocol === 'file:' && document.documentElement?.dataset.ready === 'true'")
    return page


def _metrics(width: int, height: int, *, phone: bool) -> Mapping[str, Json]:
    return {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
