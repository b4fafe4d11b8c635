"""A headless Chromium that opens pages from the disk, for the tests of pages."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from held_processes import GIVE_UP

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def open_browser(profile: Path) -> Iterator[Any]:
    """A browser whose profile lies in a new folder."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*QUIET, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(GIVE_UP)
    # In place of a page of the browser's own, which asks for much and complains where there is no network.
    driver.get("about:blank")
    try:
        yield driver
    finally:
        driver.quit()


def emulate(browser, *, width, dark=False, media=""):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {
            "media": media,
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        },
    )
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    # A page is told of another colour scheme when it next draws, which a busy machine may put off.
    drawn(browser)


def drawn(browser):
    """Wait until the page has drawn itself anew."""
    browser.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
    )


@contextmanager
def own_tab(browser):
    """A new tab, alone in the log: what the browser asks for itself is asked by no tab of ours."""
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get_log("performance")
    try:
        yield browser.current_window_handle
    finally:
        browser.close()
        browser.switch_to.window(first)


def asked_for(browser, tab, address):
    """What a page that is opened in this tab asks for, with itself, never the browser's own."""
    browser.get(address)
    drawn(browser)
    entries = [json.loads(entry["message"]) for entry in browser.get_log("performance")]
    return {
        entry["message"]["params"]["request"]["url"]
        for entry in entries
        if entry["webview"] == tab and entry["message"]["method"] == "Network.requestWillBeSent"
    }
