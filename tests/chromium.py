"""A headless Chromium for tests: found, or installed by apt-get; and its DevTools protocol over two pipes.

No port is opened, so nobody else on the machine can drive it. Run as root it has no sandbox of its own
(`--no-sandbox`): it is shown nothing but pages of our own server on the loopback address.
"""

import base64
import itertools
import json
import os
import queue
import subprocess
import threading
import time

from debian import program

NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
ANSWER_SECONDS = 30
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--hide-scrollbars",
)


def chromium():
    """The path of a Chromium. Raises debian.Missing."""
    return program(NAMES, "chromium")


class Chromium:
    """One browser. A context manager; `page()` opens a tab."""

    def __init__(self, folder):
        self._folder = folder
        self._numbers = itertools.count(1)
        self._answers = {}
        self._pages = {}

    def __enter__(self):
        command = [chromium(), *FLAGS, f"--user-data-dir={self._folder / 'profile'}", "about:blank"]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # The browser reads descriptor 3 and writes 4: the shell puts them there.
        shell = ["sh", "-c", f'exec "$@" 3</dev/fd/{theirs_in} 4>/dev/fd/{theirs_out}', "sh", *command]
        with (self._folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                shell,
                pass_fds=(theirs_in, theirs_out),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(self._folder)},
            )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = os.fdopen(ours_out, "wb", buffering=0), os.fdopen(ours_in, "rb", buffering=0)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (OSError, queue.Empty, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._out.close()
        self._reader.join(10)
        self._in.close()

    def _read(self):
        """Messages end with a zero byte. Answers go to who waits for them, events to their page."""
        left = b""
        while chunk := self._in.read(65536):
            *messages, left = (left + chunk).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers[message["id"]].put(message)
                elif message.get("sessionId") in self._pages:
                    self._pages[message["sessionId"]].events.append((message["method"], message["params"]))

    def call(self, method, session=None, **parameters):
        """One command and its result. Raises RuntimeError with what the browser says against it."""
        number = next(self._numbers)
        self._answers[number] = queue.Queue()
        command = {"id": number, "method": method, "params": parameters}
        self._out.write(json.dumps(command | ({"sessionId": session} if session else {})).encode() + b"\0")
        answer = self._answers[number].get(timeout=ANSWER_SECONDS)
        del self._answers[number]
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def page(self, *, width=1280, height=900, dark=False, still=False, mobile=False):
        """A new tab. `still`: the reader wants reduced motion."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Runtime", "Log", "Network", "Page"):
            page.call(f"{domain}.enable")
        page.resize(width, height, mobile=mobile)
        features = {"prefers-color-scheme": "dark" if dark else "light"}
        features |= {"prefers-reduced-motion": "reduce"} if still else {}
        page.call("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in features.items()])
        return page


class Page:
    """One tab, and all that has happened in it: `events` are (method, parameters)."""

    def __init__(self, browser, session, target):
        self._browser, self._session, self._target = browser, session, target
        self.events = []

    def call(self, method, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def close(self):
        self._browser.call("Target.closeTarget", targetId=self._target)

    def resize(self, width, height, *, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def open(self, url):
        self.call("Page.navigate", url=url)

    def ask(self, expression):
        """The value of an expression in the page; promises are waited for. Raises RuntimeError when it throws."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(json.dumps(told["exceptionDetails"])[:600])
        return told["result"].get("value")

    def text(self, selector):
        return self.ask(f"document.querySelector({json.dumps(selector)})?.innerText")

    def until(self, expression, seconds=20):
        """Wait until it is true. Raises TimeoutError with what the page shows instead."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if self.ask(expression):
                    return
            except RuntimeError:  # between two documents there is none
                pass
            time.sleep(0.05)
        raise TimeoutError(f"{expression} did not come true; the page says: {self.text('body')}")

    def press(self, key, code=None):
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key)
        known = {"key": key, "code": code or key, "windowsVirtualKeyCode": codes[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **known, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **known)

    def screenshot(self, path):
        """The whole page, not only what is in the window."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def requested(self):
        """Every address that was asked for."""
        return [told["request"]["url"] for method, told in self.events if method == "Network.requestWillBeSent"]

    def complaints(self):
        """What stands in the console as an error: scripts, policies, and answers that are none."""
        found = [told["entry"] for method, told in self.events if method == "Log.entryAdded"]
        said = [entry["text"] for entry in found if entry["level"] == "error"]
        thrown = [json.dumps(told) for method, told in self.events if method == "Runtime.exceptionThrown"]
        told = [t for m, t in self.events if m == "Runtime.consoleAPICalled" and t["type"] in ("error", "assert")]
        return [*said, *thrown, *map(json.dumps, told)]
