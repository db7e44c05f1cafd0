"""The loop, once whole, through the page: people click in a real browser, the next pictures obey, the flow `feedback` folds,
trains and judges, and the page shows the promoted version without a restart.

    python -m benchmarks.studio_loop --out loop                # digits; a second call goes on with the same project
    python -m benchmarks.studio_loop --out loop --people 20 --clicks 12

The people are simulated, by a taste that likes heavier strokes and one click in ten that is a mistake; everything between
their keys and the alias in the registry is real. Each has a browser of their own (Playwright, the system's Chromium).
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import workspace
from benchmarks.feedback_turns import run_flow
from benchmarks.hundred_clicks import make_project
from pipelines.core import rows
from pipelines.core.project import Project
from pipelines.tastes.base import Likes, RealRows
from pipelines.tastes.stroke_weight import StrokeWeight

PORT = 8431
SHOWN = 120  # pictures by which a share is told
MISTAKES = 0.1
PACE = 600  # milliseconds from click to click; faster than 20 in 10 seconds is no person


@dataclass(frozen=True)
class LoopRun:
    """version: that the page showed at first; shown: in the end. Shares of the page's pictures that the taste likes: before any
    click, guided by them, and of the new version, none of them chosen. seconds: of the flow, and until the page has changed."""

    version: int
    before: float
    guided: float
    shown: int
    after: float
    seconds: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the project, made at the first call")
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--clicks", type=int, default=15, help="of each")
    options = parser.parse_args()
    make_project(options.out.absolute(), "digits", None)
    found = turn(Project.find(options.out.absolute()), options.people, options.clicks)
    clicks = options.people * options.clicks
    print(f"version {found.version}: {found.before:.3f} of the pictures on the page are liked")
    print(f"after {clicks} clicks of {options.people} people, without training: {found.guided:.3f}")
    print(
        f"the flow `feedback`: {found.seconds[0]:.0f} s; the page shows version {found.shown} {found.seconds[1]:.1f} s after it"
    )
    print(f"of the new version's pictures, none of them chosen, {found.after:.3f} are liked")


def turn(project: Project, people: int, clicks: int) -> LoopRun:
    """The loop, once around."""
    train = rows.load(project.clean, "train", "real")
    likes = StrokeWeight(name="stroke_weight").fit(RealRows(train.images, train.labels, []))
    with studio(project) as address, sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        version, before = look(browser, address, likes)
        for number in range(people):
            click(browser, address, likes, clicks, np.random.default_rng(number))
        _, guided = look(browser, address, likes)
        began = time.monotonic()
        run_flow(project)
        ended, shown = time.monotonic(), version
        while shown == version and time.monotonic() - ended < 60:
            time.sleep(0.2)
            shown = httpx.get(f"{address}/api/v1/model").json()["version"]
        seconds = ended - began, time.monotonic() - ended
        _, after = look(browser, address, likes, "off")
        browser.close()
    return LoopRun(version, before, guided, shown, after, seconds)


@contextmanager
def studio(project: Project) -> Iterator[str]:
    """`genloop studio`, with a page that somebody may open."""
    command = [workspace.PYTHON, "genloop.py", "studio", "--port", str(PORT)]
    environment = {**os.environ, "PYTHONPATH": str(project.root)}
    with (project.root / "studio.log").open("a") as log:
        process = subprocess.Popen(command, cwd=project.root, env=environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{PORT}"
            while True:
                try:
                    if httpx.get(f"{address}/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    assert process.poll() is None, "the studio has ended"
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            process.wait(30)


def pixels(page: Page, url: str) -> np.ndarray:
    """(1, size, size, channels) uint8, of a picture on the page."""
    image = np.asarray(Image.open(io.BytesIO(page.request.get(url).body())))
    return image.reshape(1, *image.shape[:2], -1)


def liked(page: Page, number: int, likes: Likes) -> bool:
    picture = page.locator(".picture").nth(number)
    label = picture.get_attribute("data-label") or "0"
    url = picture.get_attribute("data-url")
    assert url is not None
    return bool(likes(pixels(page, url), np.array([int(label)]))[0])


def look(browser: Browser, address: str, likes: Likes, taste: str = "everyone") -> tuple[int, float]:
    """The version that is shown, and which share of the pictures the taste likes."""
    page = browser.new_page(base_url=address)
    page.goto("/")
    found: list[bool] = []
    while len(found) < SHOWN:
        with page.expect_response(lambda response: "/grid" in response.url):
            page.select_option("#taste", "off")
        with page.expect_response(lambda response: "/grid" in response.url):
            page.select_option("#taste", taste) if taste != "off" else page.keyboard.press("n")
        page.wait_for_timeout(200)
        found += [liked(page, number, likes) for number in range(page.locator(".picture").count())]
    version = int(page.locator(".picture").first.get_attribute("data-version") or 0)
    page.close()
    return version, float(np.mean(found))


def click(browser: Browser, address: str, likes: Likes, clicks: int, random: np.random.Generator) -> None:
    """One person, with keys alone."""
    context = browser.new_context(base_url=address)
    page = context.new_page()
    page.goto("/")
    for _ in range(clicks):
        yes = liked(page, 0, likes) != (random.random() < MISTAKES)
        page.locator(".picture").first.focus()
        with page.expect_response(lambda response: "/grid?" in response.url):
            page.keyboard.press("l" if yes else "d")
        page.wait_for_timeout(PACE)
    context.close()


if __name__ == "__main__":
    main()
