"""The API does what it says: samples with tokens, votes that count once, and pictures that obey them."""

from __future__ import annotations

import base64
import io
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from operations.guide import Guide
from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Choice, Report, Upload, Vote
from pipelines.feedback.store.event_store import EventStore
from pipelines.registry.versions import CHALLENGER, CHAMPION
from tests.promotion import fakes
from tests.studio.conftest import StudioRegistry, bright
from tests.studio.serving import BOSS, PRODUCT, WRITER, Studio, generate, vote_on, wait_for


@pytest.fixture
def shop(studio: Studio) -> httpx.Client:
    return studio.client(PRODUCT)


def pixels_at(client: httpx.Client, sample: dict[str, Any]) -> np.ndarray:
    answer = client.get(sample["url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    return np.asarray(Image.open(io.BytesIO(answer.content)))[..., None]


def events(studio: Studio, kind: str) -> list[Any]:
    with EventStore.open(studio.project.database_url) as store:
        return store.events_outside(kind, [])


def test_samples_are_those_that_the_version_generates_for_their_seeds(studio: Studio, shop: httpx.Client) -> None:
    for sample in generate(shop, 4, seed=17):
        labels = np.array([sample["label"]], np.int32)
        expected = studio.painter.guide.sampler.sampler.draw(np.array([sample["seed"]]), labels)[0]
        assert np.array_equal(pixels_at(shop, sample), expected)
    assert [sample["seed"] for sample in generate(shop, 4, seed=17)] == [17, 18, 19, 20]


def test_a_class_is_asked_for_by_name_or_index(shop: httpx.Client) -> None:
    assert {sample["label"] for sample in generate(shop, 4, label="b")} == {1}
    assert {sample["label"] for sample in generate(shop, 4, label=0)} == {0}
    answer = shop.post("/api/v1/generate", json={"count": 1, "label": "dog"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "label dog: expected one of a, b, or an index below 2"


def test_a_vote_is_stored_once_and_its_time_is_ours(studio: Studio, shop: httpx.Client) -> None:
    (sample,) = generate(shop, visitor="alice")
    vote = vote_on(sample, "one", rater="alice", at="2020-01-01T00:00:00Z")
    assert shop.post("/api/v1/events", json=vote).json() == {"stored": 1, "known": 0, "rejected": []}
    assert shop.post("/api/v1/events", json=vote).json() == {"stored": 0, "known": 1, "rejected": []}
    (stored,) = events(studio, "vote")
    assert isinstance(stored, Vote)
    assert (stored.id, stored.rater, stored.value) == ("one", "alice", 1)
    assert stored.at.year > 2020
    assert shop.post("/api/v1/events", json={**vote, "value": -1}).status_code == 409


def test_a_list_of_events_says_what_became_of_each(shop: httpx.Client) -> None:
    first, second = generate(shop, 2)
    votes = [vote_on(first, "a"), {"type": "vote"}, vote_on(second, "b", token="forged"), vote_on(first, "a")]
    answer = shop.post("/api/v1/events", json=votes).json()
    assert (answer["stored"], answer["known"]) == (1, 1)
    assert [rejected["index"] for rejected in answer["rejected"]] == [1, 2]
    assert "token" in answer["rejected"][1]["reason"]


def test_every_type_of_event_is_taken(studio: Studio, shop: httpx.Client) -> None:
    first, second = generate(shop, 2)
    samples = [{**vote_on(one, "")["sample"], "token": one["token"]} for one in (first, second)]
    png = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(png, "PNG")
    sent = [
        vote_on(first, "vote", -1, reason="blurred"),
        {"id": "choice", "type": "choice", "winner": samples[0], "loser": samples[1]},
        {"id": "report", "type": "report", "sample": samples[0], "reason": "rude"},
        {"id": "upload", "type": "upload", "image": base64.b64encode(png.getvalue()).decode(), "label": 1, "rater": "bob"},
        {"id": "label", "type": "label", "row": "0" * 64, "label": 1},
        {"id": "erase", "type": "erase", "rater": "carol"},
    ]
    assert shop.post("/api/v1/events", json=sent).json() == {"stored": 6, "known": 0, "rejected": []}
    assert [type(event) for kind in ("choice", "report", "upload") for event in events(studio, kind)] == [
        Choice,
        Report,
        Upload,
    ]
    assert events(studio, "vote")[0].reason == "blurred"
    (upload,) = events(studio, "upload")
    assert upload.rater == "bob"
    assert (studio.project.uploads / upload.image).is_file()


def test_what_was_reported_is_not_shown_again(studio: Studio, shop: httpx.Client) -> None:
    (sample,) = generate(shop, seed=5)
    assert shop.get(sample["url"]).status_code == 200
    report = {key: value for key, value in vote_on(sample, "r").items() if key != "value"} | {"type": "report"}
    assert shop.post("/api/v1/events", json=report).status_code == 200
    wait_for(lambda: shop.get(sample["url"]).status_code == 404)
    assert generate(shop, seed=5)[0]["seed"] != 5


def test_the_next_pictures_are_what_people_like(studio: Studio, shop: httpx.Client) -> None:
    for number in range(30):  # one person does not judge faster
        grid = generate(shop, 6, visitor=f"visitor-{number}")
        liked = bright(np.stack([pixels_at(shop, sample) for sample in grid]))
        votes = [vote_on(one, f"v{one['seed']}", 1 if yes else -1) for one, yes in zip(grid, liked.tolist(), strict=True)]
        assert shop.post("/api/v1/events", json=votes).json()["stored"] == 6
    wait_for(lambda: studio.painter.guide.live.model is not None)
    stats = shop.get("/api/v1/stats").json()
    assert (stats["version"], stats["events"], stats["judgements_needed"]) == (1, 180, 0)
    assert stats["approval_auc"] > 0.9
    guided = generate(shop, 60, guided=True)
    assert bright(np.stack([pixels_at(shop, sample) for sample in guided])).mean() > 0.7
    assert 0 < sum(sample["guided"] for sample in guided) < 60
    assert all(0 <= sample["approval"] <= 1 for sample in guided)
    with EventStore.open(studio.project.database_url) as store:
        assert len(store.guided()) == sum(sample["guided"] for sample in guided)


def test_before_anything_is_known_it_says_how_much_is_lacking(shop: httpx.Client) -> None:
    assert shop.get("/api/v1/stats").json() == {"version": 1, "events": 0, "judgements": 0, "judgements_needed": 100}
    answer = shop.post("/api/v1/generate", json={"count": 1, "guided": True}).json()
    assert answer["guidance"].startswith("what people like is not surely known yet")


def test_an_event_can_be_taken_back_by_who_has_sent_it(studio: Studio, shop: httpx.Client) -> None:
    (sample,) = generate(shop, visitor="alice")
    shop.post("/api/v1/events", json=vote_on(sample, "one"))
    assert shop.post("/api/v1/events/withdraw", json={"id": "one", "visitor": "bob"}).status_code == 404
    assert shop.post("/api/v1/events/withdraw", json={"id": "one", "visitor": "alice"}).status_code == 204
    assert events(studio, "vote") == []
    wait_for(lambda: not studio.painter.guide.live.events)
    assert shop.post("/api/v1/events", json=vote_on(sample, "one")).json()["stored"] == 1


def test_what_a_fold_has_taken_cannot_be_taken_back(studio: Studio, shop: httpx.Client) -> None:
    (sample,) = generate(shop)
    shop.post("/api/v1/events", json=vote_on(sample, "one"))
    with EventStore.open(studio.project.database_url) as store:
        store.claim("batch")
    assert shop.post("/api/v1/events/withdraw", json={"id": "one"}).status_code == 404
    assert len(events(studio, "vote")) == 1


def test_variations_look_like_the_sample_and_can_be_voted_on(studio: Studio, shop: httpx.Client) -> None:
    sample, *others = generate(shop, 20, label="a", seed=17)
    about = vote_on(sample, "")["sample"]
    found = shop.post("/api/v1/variations", json={"sample": about, "count": 3}).json()["samples"]
    assert len(found) == 3
    assert {one["label"] for one in found} == {0}
    assert shop.post("/api/v1/events", json=[vote_on(one, f"v{one['seed']}") for one in found]).json()["stored"] == 3

    def far(some: list[dict[str, Any]]) -> float:
        seen = [fakes.Cells().extract(pixels_at(shop, one)[None]).vectors[0] for one in [sample, *some]]
        return float(np.mean([np.linalg.norm(one - seen[0]) for one in seen[1:]]))

    assert far(found) < 0.8 * far(others)
    assert shop.post("/api/v1/variations", json={"sample": {**about, "version": 7}}).status_code == 404


def test_a_way_from_one_picture_to_another(shop: httpx.Client) -> None:
    answer = shop.post("/api/v1/interpolate", json={"first": 1, "last": 2, "label": "b", "steps": 4}).json()
    assert len(answer["frames"]) == 4
    assert all(shop.get(frame).headers["content-type"] == "image/png" for frame in answer["frames"])
    assert shop.get("/api/v1/interpolations/1/1/2/1/4/4.png").status_code == 404


def test_a_version_without_such_a_way_says_so(studio: Studio, shop: httpx.Client, registry: StudioRegistry) -> None:
    registry.samplers[1].walks = False
    answer = shop.post("/api/v1/interpolate", json={"first": 1, "last": 2, "label": "b", "steps": 4})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("version 1 has no pictures between two others, because its sampler has no `walk`")
    assert shop.get("/api/v1/interpolations/1/1/2/1/4/0.png").status_code == 422


def test_scopes_are_kept_apart(studio: Studio) -> None:
    writer, boss, nobody = studio.client(WRITER), studio.client(BOSS), studio.client("nobody's key-0123456")
    assert writer.post("/api/v1/generate", json={"count": 1}).status_code == 403
    assert boss.post("/api/v1/events", json=[]).status_code == 403
    assert boss.post("/api/v1/admin/reload").status_code == 204
    assert writer.post("/api/v1/admin/reload").status_code == 403
    assert nobody.post("/api/v1/generate", json={"count": 1}).status_code == 401
    visitor = studio.client()
    assert visitor.post("/api/v1/admin/reload").status_code == 401
    assert visitor.post("/api/v1/generate", json={"count": 1}).status_code == 200
    assert visitor.post("/api/v1/generate", json={"count": 1, "visitor": "alice"}).status_code == 403


def test_pictures_of_other_versions_are_drawn_too(registry: StudioRegistry, studio: Studio, shop: httpx.Client) -> None:
    registry.add(2, 60.0)
    registry.set_alias(CHALLENGER, 2)
    dark, light = (pixels_at(shop, {"url": f"/api/v1/samples/{version}/3/1.png"}) for version in (2, 1))
    assert dark.mean() < light.mean() - 40
    for path in ("9/3/1", "1/3/7", "1/3/-"):
        assert shop.get(f"/api/v1/samples/{path}.png").status_code == 404


def test_what_it_is_and_how_it_fares_is_there_for_programs(studio: Studio, shop: httpx.Client) -> None:
    assert shop.get("/healthz").json() == {"status": "ok"}
    assert shop.get("/readyz").json() == {"version": 1, "failure": None}
    generate(shop, 3)
    text = shop.get("/metrics").text
    assert 'genloop_samples_total{guided="false"} 3.0' in text
    assert "genloop_champion_version 1.0" in text
    assert 'genloop_requests_total{method="POST",route="/api/v1/generate",status="200"} 1.0' in text
    model = shop.get("/api/v1/model").json()
    assert (model["version"], model["classes"], model["size"]) == (1, ["a", "b"], 8)
    described = shop.get("/api/v1/openapi.json").json()
    assert {"/api/v1/generate", "/api/v1/events", "/api/v1/stats"} <= set(described["paths"])


def test_the_widget_gives_nobody_a_cookie(studio: Studio) -> None:
    first, second = (httpx.get(f"{studio.address}/widget") for _ in range(2))
    assert first.status_code == 200
    assert "set-cookie" not in first.headers
    assert len({re.search('data-visitor="([^"]+)"', one.text)[1] for one in (first, second)}) == 2  # type: ignore[index]


def test_a_key_without_admin_does_not_erase_visitors_of_the_page(studio: Studio, shop: httpx.Client) -> None:
    erase = {"id": "e", "type": "erase", "rater": "visitor-0123"}
    assert shop.post("/api/v1/events", json=erase).status_code == 403
    assert studio.client(BOSS).post("/api/v1/admin/forget", json={"rater": "visitor-0123"}).json()["stored"] == 1
    assert shop.post("/api/v1/events", json={**erase, "rater": "alice"}).json()["stored"] == 1


def test_what_was_reported_is_on_no_way_and_in_no_other_version_either(
    registry: StudioRegistry, studio: Studio, shop: httpx.Client
) -> None:
    registry.add(2, 60.0)
    (sample,) = generate(shop, seed=5)
    way = f"/api/v1/interpolations/1/5/6/{sample['label']}/4/0.png"
    assert shop.get("/api/v1/samples/2/5/1.png").status_code == shop.get(way).status_code == 200
    registry.set_alias(CHAMPION, 2)
    wait_for(lambda: studio.painter.guide.version == 2)
    report = {key: value for key, value in vote_on(sample, "r").items() if key != "value"} | {"type": "report"}
    assert shop.post("/api/v1/events", json=report).status_code == 200
    wait_for(lambda: shop.get(sample["url"]).status_code == 404)
    assert shop.get(way).status_code == 404
    assert shop.get("/api/v1/samples/2/5/1.png").status_code == 200


def test_an_undo_while_another_version_is_loaded_is_an_undo(
    registry: StudioRegistry, studio: Studio, shop: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add(2, 60.0)
    (sample,) = generate(shop)
    shop.post("/api/v1/events", json=vote_on(sample, "one"))
    wait_for(lambda: "one" in studio.painter.guide.live.events)
    learn_all, slow = Guide.learn_all, threading.Event()

    def wait(self: Guide, *arguments: Any) -> None:
        learn_all(self, *arguments)
        assert slow.wait(10)

    monkeypatch.setattr(Guide, "learn_all", wait)
    registry.set_alias(CHAMPION, 2)
    wait_for(studio.painter.loading.is_set)
    assert shop.post("/api/v1/events/withdraw", json={"id": "one"}).status_code == 204
    wait_for(lambda: not studio.painter.guide.live.events)
    slow.set()
    wait_for(lambda: studio.painter.guide.version == 2)
    wait_for(lambda: not studio.painter.guide.live.events)


def test_figures_do_not_grow_with_what_is_asked(studio: Studio, shop: httpx.Client) -> None:
    for method in ("PROPFIND", "MKCOL", "LOCK", "SEARCH"):
        shop.request(method, "/healthz")
    for number in range(30):
        shop.get(f"/nothing/{number}")
        shop.post("/api/v1/generate", json={"count": 1, "label": f"no-{number}"})
    text = shop.get("/metrics").text
    assert 'method="other"' in text
    assert len(re.findall("genloop_requests_total", text)) < 20
    assert len(studio.painter.seeds) <= 3


def test_grids_at_the_same_time_are_of_different_seeds(studio: Studio, shop: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        grids = list(pool.map(lambda _: generate(shop, 3), range(40)))
    seeds = [sample["seed"] for grid in grids for sample in grid]
    assert len(set(seeds)) == len(seeds) == 120


def test_a_registry_that_does_not_answer_takes_no_page_away(
    registry: StudioRegistry, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise GenloopError("MLflow does not answer")

    monkeypatch.setattr(registry, "aliases", fail)
    visitor = studio.client()
    for path in ("/", "/give", "/compare", "/picture/1/3/1"):
        assert visitor.get(path).status_code == 200, path
    assert generate(visitor, 2)
    wait_for(lambda: studio.painter.failure == "MLflow does not answer")


def test_a_person_gets_a_page_where_a_program_gets_a_problem(studio: Studio) -> None:
    visitor = studio.client()
    page = visitor.get("/nothing<b>", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert "That page is not there" in page.text
    assert visitor.get("/nothing").headers["content-type"] == "application/problem+json"
