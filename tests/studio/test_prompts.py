"""Prompts that visitors write: which are taken, what becomes of them, and that nothing else changes where none are."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image

from pipelines.core.project import Project
from pipelines.feedback.events import Sample
from pipelines.registry.versions import CHAMPION
from pipelines.settings.schema import PromptsParams
from studio import painter as painters
from studio.client import Client
from studio.prompts import PromptRefusedError, PromptRules
from studio.tokens import TokenError, Tokens
from tests.promotion import fakes
from tests.studio.conftest import StudioRegistry
from tests.studio.serving import KEYS, PRODUCT, SECRET, Studio, generate, vote_on, wait_for

FOX = 'ein Fuchs, 狐狸 & "co" +1%'
DENIED = ["gun", "枪", "very bad", "straße", "café"]
SETTINGS = PromptsParams(free=True, longest=60, denied=DENIED)
RULES = PromptRules(SETTINGS)


def change(monkeypatch: pytest.MonkeyPatch, settings: PromptsParams) -> None:
    params, found = painters.open_registry(None)  # type: ignore[arg-type]  # as the fixture `registry` has it
    changed = params.model_copy(update={"studio": params.studio.model_copy(update={"prompts": settings})})
    monkeypatch.setattr(painters, "open_registry", lambda project: (changed, found))


@pytest.fixture
def open_to_prompts(registry: StudioRegistry, monkeypatch: pytest.MonkeyPatch) -> StudioRegistry:
    """Version 1 takes prompts, and visitors may write some."""
    registry.samplers[1].accepts_prompts = True
    change(monkeypatch, SETTINGS)
    return registry


@pytest.fixture
def prompting(project: Project, open_to_prompts: StudioRegistry) -> Any:
    configured = project.with_variables({"GENLOOP_API_KEYS": KEYS, "GENLOOP_SECRET_KEY": SECRET})
    with Studio(configured) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def shop(prompting: Studio) -> httpx.Client:
    return prompting.client(PRODUCT)


def refusal(client: httpx.Client, **body: Any) -> tuple[int, str]:
    answer = client.post("/api/v1/generate", json={"count": 1, **body})
    return answer.status_code, answer.json().get("detail", "")


# Rules


@pytest.mark.parametrize(
    "prompt",
    [
        "a gun",
        "GUN!",
        "Ｇｕｎ",  # full width
        "g\u00adun and g\u200bun",  # what nobody sees
        "gün",
        "a_gun_b",
        "一把枪在桌上",  # no blanks between words
        "VERY   bad",
        "die STRASSE",
        "cafe\u0301",
        "a CAFE",
    ],
)
def test_a_denied_word_is_found_however_it_is_written(prompt: str) -> None:
    with pytest.raises(PromptRefusedError, match=r"^prompt: this prompt is not allowed here; ask for something else$"):
        RULES.accept(prompt)


@pytest.mark.parametrize("prompt", ["gunpowder", "begun", "very nice, not bad", "a fox 🦊", "Strasser", "枕"])
def test_other_words_are_not(prompt: str) -> None:
    assert RULES.accept(prompt) == prompt


def test_two_prompts_that_look_the_same_are_one() -> None:
    assert RULES.accept("  cafes e\u0301 ") == RULES.accept("cafes é") == "cafes é"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", "expected a line of 1 to 500 characters"),
        (" \u3000 ", "expected a line of 1 to 500 characters"),
        ("a\nb", "without control characters"),
        ("x" * 61, "expected at most 60 characters, came 61"),
    ],
)
def test_what_is_no_prompt_is_refused(prompt: str, words: str) -> None:
    with pytest.raises(PromptRefusedError, match=words):
        RULES.accept(prompt)


def test_a_denied_word_that_is_nothing_denies_nothing() -> None:
    assert PromptRules(PromptsParams(free=True, denied=["\u200b", "+"])).accept("a fox") == "a fox"
    with pytest.raises(PromptRefusedError):
        PromptRules(PromptsParams(free=True, denied=["c++"])).accept("written in C++ by me")


# Tokens


def test_a_token_is_for_its_prompt_alone_and_stays_short() -> None:
    tokens = Tokens(SECRET, 1)
    fox, boat = (Sample(version=1, seed=7, prompt=words) for words in ("🦊" * 500, "a boat"))
    token = tokens.sign("ann", fox)
    assert tokens.read(token, fox).visitor == "ann"
    for other in (boat, Sample(version=1, seed=7), Sample(version=1, seed=7, label=0)):
        with pytest.raises(TokenError, match="of another sample"):
            tokens.read(token, other)


def test_tokens_of_samples_without_a_prompt_are_what_they_were() -> None:
    tokens = Tokens(SECRET, 1)
    before = str(tokens.samples.dumps(["ann", 1, 7, -1]))
    assert tokens.read(before, Sample(version=1, seed=7)).visitor == "ann"


# The API


def test_a_prompt_makes_pictures_that_can_be_voted_on(prompting: Studio, shop: httpx.Client) -> None:
    samples = generate(shop, 3, prompt=f" {FOX} ", visitor="ann", seed=17)
    assert [(one["prompt"], one["label"], one["seed"]) for one in samples] == [(FOX, None, seed) for seed in (17, 18, 19)]
    assert samples[0]["url"] == f"/api/v1/samples/1/17/-.png?prompt={quote(FOX, safe='')}"
    answer = shop.get(samples[0]["url"])
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=3600")
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))[..., None]
    assert np.array_equal(shown, fakes.pixels([17], 125.0 + len(FOX))[0])

    assert shop.post("/api/v1/events", json=vote_on(samples[0], "v1")).status_code == 403  # of another sample than the token's
    vote = vote_on(samples[0], "v1")
    vote["sample"]["prompt"] = FOX
    for _ in range(2):
        assert shop.post("/api/v1/events", json=vote).status_code == 200
    assert shop.post("/api/v1/events", json={**vote, "value": -1}).status_code == 409
    fox = Sample(version=1, seed=17, prompt=FOX)
    (stored,) = prompting.service.store.events_outside("vote", [])
    assert (stored.sample, stored.rater) == (fox, "ann")
    wait_for(lambda: prompting.painter.guide.live.knows(fox))
    assert prompting.service.store.shown([fox])


def test_a_prompt_is_generated_guided_and_beside_its_likes(prompting: Studio, shop: httpx.Client) -> None:
    (sample,) = generate(shop, 1, prompt="a fox", guided=True, visitor="ann")
    about = {"version": 1, "seed": sample["seed"], "prompt": "a fox"}
    answer = shop.post("/api/v1/variations", json={"sample": about, "count": 4})
    assert answer.status_code == 200, answer.text
    found = answer.json()["samples"]
    assert {one["prompt"] for one in found} == {"a fox"}
    assert len({one["seed"] for one in found}) == 4


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"prompt": "a gun"}, "prompt: this prompt is not allowed here"),
        ({"prompt": "x" * 61}, "prompt: expected at most 60 characters"),
        ({"prompt": "x" * 501}, "prompt: String should have at most 500 characters"),
        ({"prompt": ""}, "prompt: "),
        ({"prompt": "   "}, "prompt: "),
        ({"prompt": "a\nb"}, "prompt: "),
        ({"prompt": "a\0b"}, "prompt: "),
        ({"prompt": 5}, "prompt: "),
        ({"prompt": ["a"]}, "prompt: "),
        ({"prompt": "a fox", "label": 0}, "body: expected either a label or a prompt, came both"),
    ],
)
def test_what_cannot_be_taken_is_said_without_it(shop: httpx.Client, body: dict[str, Any], words: str) -> None:
    status, detail = refusal(shop, **body)
    assert status == 422
    assert detail.startswith(words)
    assert "gun" not in detail


def test_pictures_have_an_address_only_where_they_were_shown(prompting: Studio, shop: httpx.Client) -> None:
    def status(url: str) -> int:
        return shop.get(url).status_code

    (sample,) = generate(shop, 1, prompt="a fox", seed=17)
    wait_for(lambda: prompting.service.store.shown([Sample(version=1, seed=17, prompt="a fox")]))
    prompting.painter.pictures.clear()
    assert status(sample["url"]) == 200  # drawn again
    asked = fakes_asked(prompting)
    assert status("/api/v1/samples/1/18/-.png?prompt=a%20fox") == 404
    assert status("/api/v1/samples/1/17/-.png?prompt=a%20Fox") == 404
    assert status("/api/v1/samples/1/17/0.png?prompt=a%20fox") == 404
    assert status("/api/v1/samples/1/17/-.png?prompt=") == 404
    assert status("/api/v1/samples/1/17/-.png?prompt=a%00b") == 404
    assert status("/api/v1/samples/1/17/-.png?prompt=a%20gun") == 404
    assert status(f"/api/v1/samples/1/17/-.png?prompt={'x' * 501}") == 422
    assert status("/api/v1/samples/1/17/-.png") == 404  # the version has classes
    assert fakes_asked(prompting) == asked
    assert status("/picture/1/17/-?prompt=a%20fox") == 200
    assert status("/picture/1/18/-?prompt=a%20fox") == 404


def fakes_asked(studio: Studio) -> int:
    return int(studio.painter.guide.sampler.sampler.asked)


def test_what_was_reported_is_not_shown_again(prompting: Studio, shop: httpx.Client) -> None:
    (sample,) = generate(shop, 1, prompt="a fox", seed=17)
    about = {"version": 1, "seed": 17, "prompt": "a fox"}
    report = {"id": "r1", "type": "report", "sample": about, "token": sample["token"], "reason": "no"}
    assert shop.post("/api/v1/events", json=report).status_code == 200
    wait_for(lambda: shop.get(sample["url"]).status_code == 404)
    assert [one["seed"] for one in generate(shop, 1, prompt="a fox", seed=17)] != [17]
    assert [one["seed"] for one in generate(shop, 1, prompt="a boat", seed=17)] == [17]


def test_the_description_says_what_is_taken(shop: httpx.Client) -> None:
    found = shop.get("/api/v1/openapi.json").json()
    prompt = found["components"]["schemas"]["GenerateBody"]["properties"]["prompt"]
    assert (prompt["type"], prompt["maxLength"]) == ("string", 60)
    body = found["paths"]["/api/v1/generate"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"]["by a prompt"]["value"]["prompt"] == "a fox in the snow"


def test_the_typed_client_passes_prompts_on(prompting: Studio) -> None:
    with Client(prompting.address, PRODUCT) as client:
        first, _ = client.generate(2, prompt="a fox", visitor="ann")
        assert (first.prompt, first.label) == ("a fox", None)
        assert client.picture(first).startswith(b"\x89PNG")
        assert client.vote(first, 1, visitor="ann").stored == 1
        assert {one.prompt for one in client.variations(first, 3, visitor="ann")} == {"a fox"}


def test_a_version_that_takes_none_says_so(registry: StudioRegistry, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = studio.client(PRODUCT)
    assert refusal(shop, prompt="a fox") == (422, "prompt: this studio takes none; leave it out (studio.prompts.free)")
    monkeypatch.setattr(studio.painter, "prompts", RULES)
    status, detail = refusal(shop, prompt="a fox")
    assert (status, detail[:36]) == (422, "prompt: this model takes no prompts;")
    assert 'id="prompt"' not in studio.client().get("/").text
    assert "prompt" not in shop.get("/api/v1/openapi.json").json()["components"]["schemas"]["GenerateBody"]["properties"]


def test_without_prompts_answers_are_what_they_were(studio: Studio) -> None:
    (sample,) = generate(studio.client(PRODUCT), 1)
    assert list(sample) == ["version", "seed", "label", "url", "token", "guided", "approval"]
    assert "?" not in sample["url"]


def test_another_champion_may_take_none(prompting: Studio, open_to_prompts: StudioRegistry, shop: httpx.Client) -> None:
    (sample,) = generate(shop, 1, prompt="a fox", seed=17, visitor="ann")
    about = {"version": 1, "seed": 17, "prompt": "a fox"}
    open_to_prompts.add(2, 60.0)
    open_to_prompts.set_alias(CHAMPION, 2)
    wait_for(lambda: prompting.painter.guide.version == 2)
    vote = {"id": "v1", "type": "vote", "sample": about, "value": 1, "token": sample["token"]}
    assert shop.post("/api/v1/events", json=vote).status_code == 200  # learned from: drawn again by the version that takes them
    wait_for(lambda: prompting.painter.guide.live.knows(Sample(**about)))
    assert shop.get(sample["url"]).status_code == 200
    answer = shop.post("/api/v1/variations", json={"sample": about, "count": 3})
    assert [one["version"] for one in answer.json()["samples"]] == [2, 2, 2]
    assert "prompt" not in answer.json()["samples"][0]


# The page

SCRIPT = "<script>alert(1)</script>\"'><b>"


def test_the_page_offers_a_field_and_shows_prompts_escaped(prompting: Studio) -> None:
    visitor = prompting.client()
    page = visitor.get("/").text
    assert '<label for="prompt">' in page
    assert 'maxlength="60"' in page
    cards = visitor.get("/grid", params={"count": 2, "prompt": SCRIPT}).text
    assert "<script" not in cards
    assert "<b>" not in cards
    assert cards.count("&lt;script&gt;") >= 4  # as an attribute, in words for who sees no picture, and below each picture
    assert visitor.get("/grid", params={"prompt": "a gun"}).status_code == 422
    assert visitor.get("/grid", params={"prompt": "x" * 2000}).status_code == 422
    assert visitor.get("/grid", params={"prompt": "a fox", "label": "b"}).status_code == 422
    assert "data-prompt" not in visitor.get("/grid", params={"prompt": " "}).text


def test_mine_shows_the_prompts_of_what_was_judged_and_kept(prompting: Studio) -> None:
    visitor = prompting.client()
    (sample,) = generate(visitor, 1, prompt=SCRIPT)
    about = {"version": 1, "seed": sample["seed"], "prompt": SCRIPT}
    vote = {"id": "v1", "type": "vote", "sample": about, "value": 1, "token": sample["token"]}
    assert visitor.post("/api/v1/events", json=vote).status_code == 200
    wait_for(lambda: prompting.service.store.shown([Sample(**about)]))
    assert visitor.post("/favourites", json={"sample": about, "on": True}).status_code == 204
    unseen = {**about, "prompt": "never shown"}
    assert visitor.post("/favourites", json={"sample": unseen, "on": True}).status_code == 404
    page = visitor.get("/mine").text
    assert SCRIPT not in page
    assert page.count(f"/picture/1/{sample['seed']}/-?prompt={quote(SCRIPT, safe='')}") == 2
    assert page.count('<bdi class="prompt"') == 2
