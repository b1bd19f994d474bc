"""How do we look at a page the way people do?

Chromium without a window, driven over its DevTools protocol: that way a phone is a phone (390 points
wide, two dots a point) and dark is dark, which command-line switches alone cannot say.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

_SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-port=0", "about:blank",
)  # fmt: skip
_PATIENCE = 30.0  # seconds until Chromium must have started


class NoBrowser(Exception):
    """There is no Chromium to take pictures with; Debian's package is called chromium."""


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._asked = 0
        self._heard: list[str] = []

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._asked += 1
        await self._socket.send_json({"id": self._asked, "method": method, "params": params})
        while True:
            said = await self._socket.receive_json(timeout=_PATIENCE)
            if said.get("id") == self._asked:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']['message']}")
                found: dict[str, Any] = said["result"]
                return found
            self._heard.append(said.get("method", ""))

    async def open(self, url: str, *, width: int, height: int, phone: bool, dark: bool) -> None:
        """Show that address on such a screen."""
        await self.ask("Page.enable")
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])
        await self.ask("Emulation.setTimezoneOverride", timezoneId="UTC")
        self._heard.clear()
        await self.ask("Page.navigate", url=url)
        while "Page.loadEventFired" not in self._heard:
            said = await self._socket.receive_json(timeout=_PATIENCE)
            self._heard.append(said.get("method", ""))
        await self.ask("Runtime.evaluate", expression=_SETTLED, awaitPromise=True)

    async def status(self) -> int:
        """What the server said of it: 200 is well."""
        asked = "performance.getEntriesByType('navigation')[0].responseStatus"
        found = await self.ask("Runtime.evaluate", expression=asked)
        return int(found["result"]["value"])

    async def height(self) -> int:
        """How tall the page is."""
        found = await self.ask("Page.getLayoutMetrics")
        return int(found["cssContentSize"]["height"])

    async def wider_than_screen(self) -> int:
        """Points by which the page sticks out to the right; 0 if it fits."""
        asked = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        found = await self.ask("Runtime.evaluate", expression=asked)
        return int(found["result"]["value"])

    async def run(self, program: str) -> Any:
        """What that JavaScript comes to, once it is settled, told as JSON."""
        found = await self.ask("Runtime.evaluate", expression=program, awaitPromise=True)
        return json.loads(found["result"]["value"])

    async def picture(self, *, width: int, height: int) -> bytes:
        """What is seen, as PNG."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        found = await self.ask(
            "Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True
        )
        return base64.b64decode(found["data"])


# Fonts are there, and the browser has drawn twice.
_SETTLED = """
document.fonts.ready.then(() => new Promise(done =>
  requestAnimationFrame(() => requestAnimationFrame(() => done(true)))))
"""


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """A browser with one empty tab. Raises NoBrowser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise NoBrowser(NoBrowser.__doc__)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program, f"--user-data-dir={profile}", *_SWITCHES,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as reply:
                    tabs = await reply.json(content_type=None)
                where = next(each for each in tabs if each["type"] == "page")[
                    "webSocketDebuggerUrl"
                ]
                async with session.ws_connect(where, max_msg_size=0) as socket:
                    yield Tab(socket)
        finally:
            process.terminate()
            await process.wait()


async def _port(file: Path) -> int:
    async with asyncio.timeout(_PATIENCE):
        while not (file.exists() and file.read_text()):
            await asyncio.sleep(0.05)
    return int(file.read_text().split()[0])
