"""
A headless Chromium of a test's own, by the WebDriver protocol: Debian's packages chromium and
chromium-driver, nothing else.

    with Browser() as browser:
        browser.open("http://127.0.0.1:9749/")
        browser.wait("a guest", "return document.querySelector('tbody tr')")
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"]


def missing():
    """Which program is not there; None if all are."""
    if not shutil.which("chromedriver"):
        return "chromedriver is missing"
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        return "chromium is missing"
    return None


class Browser:
    def __init__(self):
        self.session = None
        self.folder = tempfile.mkdtemp(prefix="memctl-browser-")
        with contextlib.ExitStack() as stack:
            stack.push(self)
            self.driver = subprocess.Popen(
                ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                text=True, env=dict(os.environ, HOME=self.folder, TMPDIR=self.folder))
            self.port = self.read_port()
            self.begin()
            stack.pop_all()

    def read_port(self):
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                return int(line.split()[-1].rstrip("."))
        raise AssertionError("chromedriver did not start")

    def begin(self):
        options = {"binary": shutil.which("chromium") or shutil.which("chromium-browser"),
                   "args": [*FLAGS, f"--user-data-dir={self.folder}/profile"]}
        answer = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = f"/session/{answer['sessionId']}"

    def ask(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()[:600]}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.session:
            with contextlib.suppress(Exception):
                self.ask("DELETE", self.session)
        if hasattr(self, "driver"):
            self.driver.terminate()
            self.driver.wait(30)
            self.driver.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def open(self, url):
        self.ask("POST", f"{self.session}/url", {"url": url})

    def run(self, script, *arguments):
        """What the JavaScript function with this body returns."""
        return self.ask("POST", f"{self.session}/execute/sync",
                        {"script": script, "args": list(arguments)})

    def wait(self, what, script, *arguments, timeout=60):
        began = time.monotonic()
        while not (value := self.run(script, *arguments)):
            assert time.monotonic() - began < timeout, f"waited {timeout} s for {what}"
            time.sleep(0.1)
        return value

    def devtools(self, command, **parameters):
        return self.ask("POST", f"{self.session}/goog/cdp/execute",
                        {"cmd": command, "params": parameters})

    def look(self, width, height, dark=False, phone=False):
        """Size and colours of the window that follows."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"}])

    def picture(self, path, whole=False):
        """A PNG of what is seen, or of the whole page."""
        data = self.devtools("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def complaints(self):
        """What the console said, errors of the page's policy included."""
        return [entry["message"] for entry in
                self.ask("POST", f"{self.session}/se/log", {"type": "browser"})
                if entry["level"] in ("SEVERE", "WARNING")]

    def accessible(self):
        """(role, name) of all that a screen reader meets."""
        nodes = self.devtools("Accessibility.getFullAXTree")["nodes"]
        return [(node.get("role", {}).get("value"), node.get("name", {}).get("value", ""))
                for node in nodes if not node.get("ignored")]
