"""The page in a real browser: Chromium without a window. What a person does with keys, fingers and a bad connection."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from pipelines.core.project import Project
from pipelines.registry.versions import CHALLENGER, CHAMPION
from pipelines.settings.schema import PromptsParams
from studio import middleware
from studio.prompts import PromptRules
from tests.studio.conftest import StudioRegistry
from tests.studio.serving import Studio, wait_for
from tests.support.http_servers import Answer, answering

PAGES = ("/", "/compare", "/mine", "/give", "/progress", "/picture/1/17/1", "/widget")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        message = "Chromium is not installed (`apt-get install chromium`)"
        assert not os.environ.get("GENLOOP_NEEDS_CHROMIUM"), message
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Visit:
    """A browser of one's own. faults: what its console says is wrong. foreign: requests to anywhere else."""

    def __init__(self, browser: Browser, studio: Studio, **how: Any) -> None:
        self.context: BrowserContext = browser.new_context(base_url=studio.address, **how)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(30_000)  # a machine may be busy with other tests
        self.faults: list[str] = []
        self.foreign: list[str] = []
        self.page.on("console", lambda line: self.faults.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.note(request.url, studio.address))

    def note(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.foreign.append(url)

    def open(self, path: str = "/") -> Page:
        self.page.goto(path)
        return self.page


@pytest.fixture
def visit(browser: Browser, studio: Studio) -> Iterator[Any]:
    """A function that makes a Visit; at the end none may have said that anything is wrong."""
    visits: list[Visit] = []

    def make(**how: Any) -> Visit:
        visits.append(Visit(browser, studio, **how))
        return visits[-1]

    yield make
    for one in visits:
        one.context.close()
        assert one.faults == []
        assert one.foreign == []


def votes(studio: Studio) -> list[Any]:
    return studio.service.store.events_outside("vote", [])


def first_of(page: Page) -> str:
    return str(page.locator(".picture").first.get_attribute("data-seed"))


@pytest.mark.parametrize("how", [{}, PHONE], ids=["wide", "phone"])
def test_every_page_opens_is_accessible_and_fits(studio: Studio, registry: StudioRegistry, visit: Any, how: Any) -> None:
    registry.add(2, 60.0)
    registry.set_alias(CHALLENGER, 2)
    wait_for(lambda: studio.painter.pair() == (1, 2))
    visitor = visit(**how)
    for path in PAGES:
        page = visitor.open(path)
        if path == "/compare":
            page.locator("[data-choose]").first.wait_for()
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.evaluate("[...document.images].every((one) => one.complete)") or page.wait_for_timeout(500) is None


def test_everything_is_done_by_keys(studio: Studio, visit: Any) -> None:
    page = visit().open()
    expect(page.locator(".picture")).to_have_count(12)
    first = first_of(page)
    with page.expect_response("**/grid?*"):
        page.keyboard.press("l")
    wait_for(lambda: [vote.value for vote in votes(studio)] == [1])
    assert str(votes(studio)[0].sample.seed) == first
    page.wait_for_function(f"document.querySelector('.picture').dataset.seed !== '{first}'")
    expect(page.locator(".picture").first).to_be_focused()  # of the picture that came in its place

    page.keyboard.press("j")
    expect(page.locator(".picture").nth(1)).to_be_focused()
    page.keyboard.press("k")
    with page.expect_response("**/grid?*"):
        page.keyboard.press("d")
    expect(page.locator("#toast button")).to_have_count(4)
    page.keyboard.press("2")
    wait_for(lambda: sorted((vote.value, vote.reason) for vote in votes(studio) if vote.value < 0) == [(-1, "broken")])

    with page.expect_response("**/grid?*"):
        page.keyboard.press("l")
    wait_for(lambda: len(votes(studio)) == 3)
    with page.expect_response("**/withdraw"):
        page.keyboard.press("z")
    wait_for(lambda: len(votes(studio)) == 2)

    page.keyboard.press("f")
    expect(page.locator('.picture:focus [data-do="favourite"]')).to_have_attribute("aria-pressed", "true")
    with page.expect_response("**/grid/like*"):
        page.keyboard.press("v")
    expect(page.locator(".picture").first).to_be_focused()
    page.keyboard.press("m")
    page.keyboard.press("j")
    page.keyboard.press("m")
    expect(page.locator("#morph")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    with page.expect_response("**/grid?*"):
        page.keyboard.press("n")


@pytest.mark.parametrize("how", [{}, PHONE], ids=["wide", "phone"])
def test_a_prompt_is_typed_and_its_pictures_are_judged(
    studio: Studio, registry: StudioRegistry, visit: Any, how: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.samplers[1].accepts_prompts = True
    studio.painter.guide.sampler.accepts_prompts = True
    studio.painter.guide.description |= registry.description(1)
    monkeypatch.setattr(studio.painter, "prompts", PromptRules(PromptsParams(free=True, longest=60)))
    page = visit(**how).open()
    page.get_by_label("Prompt").fill("jld <i>fox</i>")  # letters that are keys elsewhere
    assert page.locator("#label").is_disabled()
    assert page.locator(".picture[data-prompt]").count() == 0
    page.keyboard.press("Enter")
    page.locator(".picture[data-prompt]").first.wait_for()
    assert page.locator(".picture .prompt").first.text_content() == "jld <i>fox</i>"
    assert votes(studio) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.locator('.picture [data-do="like"]').first.click()
    wait_for(lambda: votes(studio))
    assert votes(studio)[0].sample.prompt == "jld <i>fox</i>"
    assert page.goto("/mine").status == 200
    assert page.locator(".small-pictures .prompt").first.text_content() == "jld <i>fox</i>"
    page.locator(".small-pictures a").first.click()
    page.locator(".grid.one img").wait_for()


def test_compare_is_blind_and_goes_by_arrows(studio: Studio, registry: StudioRegistry, visit: Any) -> None:
    registry.add(2, 60.0)
    registry.set_alias(CHALLENGER, 2)
    wait_for(lambda: studio.painter.pair() == (1, 2))
    page = visit().open("/compare")
    for number in range(1, 7):
        page.locator("[data-choose]").first.wait_for()
        assert all(str(image.get_attribute("src")).startswith("data:") for image in page.locator(".pair img").all())
        with page.expect_response("**/compare/pair"):
            page.keyboard.press("ArrowLeft")
        wait_for(lambda number=number: len(studio.service.store.events_outside("choice", [])) == number)
    choices = studio.service.store.events_outside("choice", [])
    assert all(one.winner.seed == one.loser.seed for one in choices)
    assert {frozenset((one.winner.version, one.loser.version)) for one in choices} == {frozenset((1, 2))}
    page.locator("#slide-at").fill("80")
    assert page.locator("#slide-right").evaluate("(one) => one.style.clipPath") == "inset(0px 0px 0px 20%)"


def test_on_a_phone_a_swipe_is_a_vote(studio: Studio, visit: Any) -> None:
    page = visit(**PHONE).open()
    for number, far in ((1, 120), (2, -120)):
        box = page.locator(".picture img").first.bounding_box()
        assert box is not None
        x, y = box["x"] + 80, box["y"] + 60
        swipe = """([x, y, far]) => {
          const at = (kind, x) => new PointerEvent(kind, {bubbles: true, pointerType: "touch", clientX: x, clientY: y});
          document.elementFromPoint(x, y).dispatchEvent(at("pointerdown", x));
          document.dispatchEvent(at("pointerup", x + far));
        }"""
        with page.expect_response("**/grid?*"):
            page.evaluate(swipe, [x, y, far])
        wait_for(lambda number=number: len(votes(studio)) == number)
    assert sorted(vote.value for vote in votes(studio)) == [-1, 1]


def test_a_vote_survives_a_lost_connection(studio: Studio, visit: Any) -> None:
    visitor = visit()
    page = visitor.open()
    visitor.context.set_offline(True)
    seeds = [str(one.get_attribute("data-seed")) for one in page.locator(".picture").all()[:2]]
    page.keyboard.press("l")
    page.keyboard.press("j")
    page.keyboard.press("d")
    expect(page.locator("#offline")).to_be_visible()
    assert votes(studio) == []
    visitor.context.set_offline(False)
    wait_for(lambda: {str(vote.sample.seed) for vote in votes(studio)} == set(seeds))
    expect(page.locator("#offline")).to_be_hidden()
    visitor.faults[:] = [line for line in visitor.faults if "ERR_INTERNET_DISCONNECTED" not in line]


def test_a_vote_that_waits_outlives_the_page(studio: Studio, visit: Any) -> None:
    visitor = visit()
    page = visitor.open()
    visitor.context.set_offline(True)
    page.keyboard.press("l")
    expect(page.locator("#offline")).to_be_visible()
    page.close()
    visitor.context.set_offline(False)
    visitor.context.new_page().goto("/mine")
    wait_for(lambda: len(votes(studio)) == 1)
    visitor.faults.clear()


def test_the_language_is_the_browser_s_and_can_be_chosen(visit: Any) -> None:
    page = visit(locale="zh-CN").open()
    assert page.locator("html").get_attribute("lang") == "zh"
    expect(page.get_by_role("button", name="新图片")).to_be_visible()
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("button", name="New pictures")).to_be_visible()
    page.get_by_role("link", name="Progress").click()
    assert page.locator("html").get_attribute("lang") == "en"


def test_the_version_changes_under_ones_fingers(studio: Studio, registry: StudioRegistry, visit: Any) -> None:
    page = visit().open()
    registry.add(2, 60.0)
    registry.set_alias(CHAMPION, 2)
    for _ in range(60):
        with page.expect_response("**/grid?*"):
            page.keyboard.press("l")
        page.wait_for_timeout(20)
        if page.locator('.picture[data-version="2"]').count():
            break
    expect(page.locator('.picture[data-version="2"]').first).to_be_visible()
    page.goto("/progress")
    expect(page.locator("tbody tr").first).to_contain_text("champion")


def test_what_is_given_kept_reported_and_forgotten(studio: Studio, visit: Any, tmp_path: Any) -> None:
    page = visit().open()
    seed = first_of(page)
    page.keyboard.press("f")
    page.wait_for_timeout(100)
    card = page.locator(".picture").nth(1)
    flagged = str(card.get_attribute("data-seed"))
    card.locator("summary").click()
    card.get_by_role("button", name="Report").click()
    page.locator("#report-reason").fill("rude")
    with page.expect_response("**/events"):
        page.locator("[data-send-report]").click()
    wait_for(lambda: [str(one.sample.seed) for one in studio.service.store.events_outside("report", [])] == [flagged])
    with page.expect_response("**/grid?*"):
        page.keyboard.press("l")

    picture = tmp_path / "mine.png"
    Image.new("L", (20, 20), 90).save(picture)
    page.goto("/give")
    page.set_input_files("#image", picture)
    page.get_by_role("button", name="Give").click()
    expect(page.get_by_text("Thank you: 1 kept.")).to_be_visible()

    page.goto("/mine")
    expect(page.locator("main img")).to_have_count(2)
    assert f"/1/{seed}/" in str(page.locator("main a").first.get_attribute("href"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget me").click()
    expect(page.get_by_text("Nothing yet.")).to_be_visible()
    assert len(studio.service.store.erase_requests()) == 1


def test_a_widget_in_somebody_else_s_page(browser: Browser, project: Project, registry: StudioRegistry) -> None:
    answers: dict[str, Answer] = {}
    with answering(answers) as shop, Studio(project.with_variables({"GENLOOP_WIDGET_ORIGINS": shop})) as studio:
        studio.wait_ready()
        script = f'<script src="{studio.address}/static/widget.js"></script>'
        answers["/"] = 200, "text/html", f"<html><body><h1>Shop</h1>{script}</body></html>"
        page = browser.new_page()
        page.goto(f"{shop}/")
        frame = page.frame_locator("iframe")
        frame.get_by_role("button", name="Like", exact=True).click()
        wait_for(lambda: len(votes(studio)) == 1)
        frame.get_by_role("button", name="Dislike").click()
        wait_for(lambda: len(votes(studio)) == 2)
        assert len({vote.rater for vote in votes(studio)}) == 1
        page.close()


def test_a_page_of_another_site_cannot_frame_the_studio(studio: Studio) -> None:
    headers = studio.client().get("/").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert middleware.PATIENCE > 1
