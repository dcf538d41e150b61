"""A headless Chromium over its DevTools protocol: windows that share nothing, real clicks and keys, pictures."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from scripts.embedded.processes import launcher_command
from tests.harness.node import unpacked_chromium
from tests.harness.waiting import eventually

STARTED_WITHIN_S = 60.0
CALLED_WITHIN_S = 30.0
SHOWN_WITHIN_S = 30.0

MISSING = (
    ""
    if sys.platform == "linux" and platform.machine() == "x86_64"
    else "there is no Chromium among the packages for this system"
)
"""Why there is no browser here; empty where there is one."""

_FLAGS = (
    "--headless",
    "--no-sandbox",  # it shows pages of our own alone, also where nobody may make sandboxes
    "--no-zygote",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--lang=en-GB",
    "--remote-debugging-port=0",
)

_FIND = """
(selector, text) => {
  const shown = (element) => element.getClientRects().length > 0;
  const found = [...document.querySelectorAll(selector)].filter(shown);
  return found.find((element) => !text || element.textContent.trim().includes(text));
}
"""

_AIM = """
(element) => {
  if (!element || element.disabled) return null;
  element.scrollIntoView({ block: "center" });
  const { x, y, width, height } = element.getBoundingClientRect();
  const at = { x: x + width / 2, y: y + height / 2 };
  if (!element.contains(document.elementFromPoint(at.x, at.y))) return null;
  window.clicked = false;
  element.addEventListener("click", () => { window.clicked = true; }, { once: true, capture: true });
  return at;
}
"""


class Unanswered(AssertionError):
    """The browser could not do what it was asked, such as run a script in a page that is being left."""


class Browser:
    """One process of Chromium. `window` opens windows, each a profile of its own."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="greenroom-browser-"))
        self._stack = contextlib.AsyncExitStack()
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._windows: dict[str, Window] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self._stack.callback(shutil.rmtree, self._home, ignore_errors=True)
        folder = await asyncio.to_thread(unpacked_chromium)
        fonts = self._home / "fonts.conf"
        fonts.write_text(
            '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
            f"<dir>{folder / 'fonts'}</dir><cachedir>{self._home / 'fonts'}</cachedir></fontconfig>"
        )
        environment = {
            **os.environ,
            "HOME": str(self._home),
            "LD_LIBRARY_PATH": str(folder / "lib"),
            "FONTCONFIG_FILE": str(fonts),
        }
        log = self._stack.enter_context((self._home / "log").open("wb"))
        program = [str(folder / "chromium"), *_FLAGS, f"--user-data-dir={self._home / 'profile'}", "about:blank"]
        process = await asyncio.create_subprocess_exec(
            *launcher_command(program, user=None, death_signal=signal.SIGKILL),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self._stack.push_async_callback(_end, process)
        endpoint = self._home / "profile" / "DevToolsActivePort"
        await eventually(
            lambda: process.returncode is not None or (endpoint.exists() and endpoint.read_text().count("\n") == 1),
            STARTED_WITHIN_S,
        )
        assert process.returncode is None, (self._home / "log").read_text(errors="replace")[-4000:]
        port, path = endpoint.read_text().split("\n")
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._socket = await self._stack.enter_async_context(
            session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0)
        )
        reading = asyncio.create_task(self._read())
        self._stack.push_async_callback(_cancelled, reading)

    async def window(self, url: str, width: int = 1400, height: int = 1000, *, dark: bool = False) -> "Window":
        """A new window of somebody who was never here, at this page."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        wanted = {"url": "about:blank", "browserContextId": context, "width": width, "height": height}
        target = (await self.call("Target.createTarget", wanted))["targetId"]
        attached = await self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        window = self._windows[attached["sessionId"]] = Window(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await window.call(f"{domain}.enable")
        await window.size(width, height, dark=dark)
        await window.visit(url)
        return window

    async def call(self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None) -> Any:
        """One command of the protocol, and its result."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters or {}}
        try:
            async with asyncio.timeout(CALLED_WITHIN_S):
                await self._socket.send_json(message | ({"sessionId": session} if session else {}))
                return await self._answers[number]
        finally:
            del self._answers[number]

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            answer = self._answers.get(told.get("id", 0))
            if answer is not None and not answer.done():
                if "error" in told:
                    answer.set_exception(Unanswered(f"the browser says: {told['error']}"))
                else:
                    answer.set_result(told["result"])
            window = self._windows.get(told.get("sessionId", ""))
            if window is not None and "method" in told:
                window.happened(told["method"], told["params"])


class Window:
    """One page. What it complains of is kept in `troubles`, the addresses that it asked for in `asked`."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.troubles: list[str] = []
        self.asked: list[str] = []

    async def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol for this page."""
        return await self._browser.call(method, parameters, self._session)

    def happened(self, event: str, told: dict[str, Any]) -> None:
        """The browser tells something: requests, errors of scripts, refused requests, breaches of the page's policy."""
        if event == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.troubles.append(details.get("exception", {}).get("description") or details["text"])
        elif event == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.troubles.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")

    async def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """As on a screen of this size, in light or dark colours."""
        phone = width < 600
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def visit(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    async def reload(self) -> None:
        """Load the page anew; what the window keeps, it keeps."""
        await self.run("window.left = true")
        await self.call("Page.reload")
        await self.until("!window.left && document.readyState === 'complete'")

    async def run(self, script: str) -> Any:
        """The value of an expression, waited for if it is a promise."""
        ran = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in ran:
            details = ran["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description") or details["text"])
        return ran["result"].get("value")

    async def until(self, condition: str, within_s: float = SHOWN_WITHIN_S) -> Any:
        """The value of an expression as soon as it is true; what is on the screen when that takes too long."""

        async def value() -> Any:
            try:
                return await self.run(condition)
            except Unanswered:
                return None

        try:
            return await eventually(value, within_s)
        except AssertionError as late:
            screen = await self.run("document.body.innerText")
            raise AssertionError(f"{condition}\n{late}\n{self.troubles}\non the screen:\n{screen}") from None

    async def sees(self, text: str, within: str = "body", within_s: float = SHOWN_WITHIN_S) -> None:
        """Wait until this text is on the screen, inside what the selector finds."""
        await self.until(f"({_FIND})({json.dumps(within)}, {json.dumps(text)}) !== undefined", within_s)

    async def click(self, selector: str, text: str = "") -> None:
        """A click of the mouse on the first thing that is shown, can be pressed, and holds the text."""
        find = f"({_FIND})({json.dumps(selector)}, {json.dumps(text)})"

        async def hit() -> bool:
            where = await self.until(f"({_AIM})({find})")
            for event in ("mousePressed", "mouseReleased"):
                await self.call("Input.dispatchMouseEvent", type=event, button="left", clickCount=1, **where)
            clicked: bool = await self.run("window.clicked")
            return clicked

        # What is clicked may have moved in the meantime, because something above it changed.
        await eventually(hit, SHOWN_WITHIN_S)

    async def fill(self, selector: str, text: str) -> None:
        """Type the text into a field, instead of what is there."""
        field = f"({_FIND})({json.dumps(selector)}, '')"
        await self.until(f"(() => {{ const field = {field}; field?.focus(); field?.select(); return !!field; }})()")
        await self.call("Input.insertText", text=text)

    async def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list that has it."""
        await self.until(f"({_FIND})({json.dumps(selector)}, '')?.querySelector('[value={json.dumps(value)}]') != null")
        await self.run(
            f"(() => {{ const list = ({_FIND})({json.dumps(selector)}, ''); list.value = {json.dumps(value)};"
            " list.dispatchEvent(new Event('change', { bubbles: true })); })()"
        )

    async def press(self, key: str, code: int) -> None:
        """One key, by its name and its number."""
        text = {"text": "\r"} if key == "Enter" else {}
        for event in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=event, key=key, windowsVirtualKeyCode=code, **text)

    async def picture(self, path: Path) -> None:
        """What is on the screen, as a PNG file."""
        shot = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
