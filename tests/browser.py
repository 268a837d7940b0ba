"""A headless Chromium, spoken to through its DevTools protocol over two pipes: no package is needed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One tab. `problems` collects console errors, exceptions and failed loads."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading, self.writing = os.fdopen(reading, "rb"), os.fdopen(writing, "wb")
        self.number, self.session, self.problems = 0, "", list[str]()
        self.buffer = b""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        self.writing.write(json.dumps(message).encode() + b"\0")
        self.writing.flush()
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def read(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            self.buffer += self.reading.raw.read(1 << 16)  # type: ignore[attr-defined]
        text, _, self.buffer = self.buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        kind = message.get("method", "")
        if kind in ("Runtime.exceptionThrown", "Network.loadingFailed"):
            self.problems.append(json.dumps(message["params"])[:300])
        if kind == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.problems.append(message["params"]["entry"]["text"])
        return message

    def open(self, path: Path, width: int) -> None:
        """Open a file in a window of a width, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=path.resolve().as_uri())
        for _ in range(600):
            if self.evaluate("document.readyState") == "complete" and "about:" not in self.evaluate("location.href"):
                return
            time.sleep(0.05)
        raise TimeoutError(path)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the whole page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium, closed at the end."""
    assert CHROMIUM
    (from_us, to_it), (from_it, to_us) = os.pipe(), os.pipe()

    def files() -> None:
        os.dup2(from_us, 3)
        os.dup2(to_us, 4)

    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    for number in (from_us, to_us):
        os.set_inheritable(number, True)
    process = subprocess.Popen(
        command, close_fds=False, preexec_fn=files, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(from_us)
    os.close(to_us)
    try:
        yield Browser(from_it, to_it)
    finally:
        process.terminate()
        process.wait(30)
