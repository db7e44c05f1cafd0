"""The champion is taken over while pictures are asked for, and one that does not load leaves the old one where it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest

from pipelines.core.project import Project
from pipelines.registry.versions import CHALLENGER, CHAMPION
from studio.batcher import BatchedSampler, Batcher, NotReadyError
from tests.promotion.fakes import Painter as FakeSampler
from tests.studio.conftest import LIGHT, StudioRegistry
from tests.studio.serving import PRODUCT, Studio, generate, vote_on, wait_for


@contextmanager
def asking(studio: Studio) -> Iterator[list[int]]:
    """Others ask for pictures all the while; statuses of all answers."""
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with studio.client(PRODUCT) as client:
            while not stop.is_set():
                answer = client.post("/api/v1/generate", json={"count": 2})
                statuses.append(answer.status_code)
                if answer.status_code == 200:
                    statuses.append(client.get(answer.json()["samples"][0]["url"]).status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_moved_alias_is_followed_and_no_request_fails(registry: StudioRegistry, studio: Studio) -> None:
    registry.add(2, 60.0)
    with asking(studio) as statuses:
        for version in (2, 1, 2, 1, 2):
            registry.set_alias(CHAMPION, version)
            wait_for(lambda version=version: studio.painter.guide.version == version)
        wait_for(lambda: len(statuses) > 50)
    assert set(statuses) == {200}
    assert studio.client().get("/api/v1/model").json()["version"] == 2


def test_votes_that_come_while_another_version_is_loaded_are_learned_from(
    registry: StudioRegistry, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, slow = studio.client(PRODUCT), threading.Event()
    registry.add(2, 60.0)
    load = registry.load

    def wait(number: int | None = None) -> object:
        if number == 2:
            assert slow.wait(10)
        return load(number)

    monkeypatch.setattr(registry, "load", wait)
    (sample,) = generate(shop)
    registry.set_alias(CHAMPION, 2)
    wait_for(studio.painter.loading.is_set)
    assert shop.post("/api/v1/events", json=vote_on(sample, "meanwhile")).json()["stored"] == 1
    wait_for(lambda: "meanwhile" in studio.painter.guide.live.events)
    slow.set()
    wait_for(lambda: studio.painter.guide.version == 2)
    wait_for(lambda: list(studio.painter.guide.live.events) == ["meanwhile"])


def test_a_version_that_does_not_load_leaves_the_old_one_and_is_shown(registry: StudioRegistry, studio: Studio) -> None:
    registry.add(2, 60.0)
    registry.broken[2] = "weights.safetensors is truncated"
    registry.set_alias(CHAMPION, 2)
    wait_for(lambda: studio.painter.failure)
    client = studio.client()
    assert client.get("/readyz").json() == {"version": 1, "failure": "weights.safetensors is truncated"}
    assert "weights.safetensors is truncated" in client.get("/").text
    assert "genloop_champion_failing 1.0" in client.get("/metrics").text
    assert {sample["version"] for sample in generate(client, 3)} == {1}
    assert sum("truncated" in line for line in studio.log) == 1  # and not at every look
    registry.set_alias(CHAMPION, 1)
    wait_for(lambda: not studio.painter.failure)


def test_without_a_champion_the_page_shows_the_first_run(project: Project, registry: StudioRegistry) -> None:
    registry.set_alias(CHAMPION, None)
    with Studio(project) as studio:
        client = studio.client()
        page = client.get("/").text
        assert "The first version is on its way" in page
        assert "Nobody has begun it yet." in page
        assert client.get("/readyz").status_code == 503
        answer = client.post("/api/v1/generate", json={"count": 1})
        assert (answer.status_code, answer.json()["detail"]) == (503, "there is no version to show yet")
        project.reports.mkdir(parents=True, exist_ok=True)
        (project.reports / "ingest.json").write_text("{}")
        preview = project.logs / "train/x/samples-00000500.png"
        preview.parent.mkdir(parents=True)
        preview.write_bytes(b"a picture")
        page = client.get("/first-run").text
        assert '<li class="done">ingest' in page
        assert '<li class="now">validate' in page
        assert "after 500 steps" in page
        assert client.get("/first-run/preview.png").content == b"a picture"
        registry.set_alias(CHAMPION, 1)
        studio.wait_ready()
        assert client.get("/first-run").headers["hx-refresh"] == "true"
        assert "New pictures" in client.get("/").text


def test_pictures_are_made_ahead_and_are_those_that_are_asked_for_next(registry: StudioRegistry, studio: Studio) -> None:
    shop = studio.client(PRODUCT)
    generate(shop, 6)
    wait_for(lambda: not studio.painter.wanted)
    sampler = registry.samplers[1]
    wait_for(lambda: all((seed, seed % 2) in studio.painter.guide.ahead for seed in range(*next_seeds(studio, 6))))
    before = sampler.asked
    assert len(generate(shop, 6)) == 6
    assert sampler.asked <= before + 6 * 4 * 2  # those of the grids after it, perhaps, and none of this one
    assert [sample["seed"] for sample in generate(shop, 2, seed=9)] == [9, 10]


def next_seeds(studio: Studio, count: int) -> tuple[int, int]:
    first = studio.painter.seeds[None]
    return first, first + count


def test_pair_is_of_champion_and_challenger(registry: StudioRegistry, studio: Studio) -> None:
    assert studio.painter.pair() == (1, 1)
    registry.add(2, 60.0)
    registry.set_alias(CHALLENGER, 2)
    wait_for(lambda: studio.painter.pair() == (1, 2))


def test_requests_that_wait_are_generated_together() -> None:
    class Slow(FakeSampler):
        def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
            calls.append(len(seeds))
            assert go.wait(10)
            return super().draw(seeds, labels)

    calls: list[int] = []
    go, batcher, sampler = threading.Event(), Batcher(), Slow(125.0)
    sampler.version = 1  # type: ignore[attr-defined]
    batched = BatchedSampler(sampler, batcher)
    futures: list[Future[np.ndarray]] = []
    for seed in range(20):
        futures.append(batched.submit(np.array([seed]), np.array([0], np.int32)))
        if not seed:
            wait_for(lambda: calls)
    go.set()
    alone = [FakeSampler(125.0).draw(np.array([seed]), None)[0] for seed in range(20)]
    assert all(np.array_equal(future.result()[0], one) for future, one in zip(futures, alone, strict=True))
    assert calls == [1, 19]
    batcher.close()


def test_labels_and_prompts_that_wait_are_generated_apart() -> None:
    go, began, batcher, sampler = threading.Event(), threading.Event(), Batcher(), FakeSampler(125.0)
    sampler.version = 1  # type: ignore[attr-defined]

    class Gate(FakeSampler):
        def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
            began.set()
            assert go.wait(10)
            return super().draw(seeds, labels)

    gate = batcher.submit(Gate(0.0), np.array([0]), None)
    assert began.wait(10)
    batched = BatchedSampler(sampler, batcher)
    prompts = [batched.submit(np.array([7, 8]), None, ["a fox", words]) for words in ("a boat", "")]
    labelled = batched.submit(np.array([7]), np.array([1], np.int32))
    go.set()
    assert gate.result().shape == (1, 8, 8, 1)
    assert np.array_equal(labelled.result(), FakeSampler(125.0).draw(np.array([7]), None))
    for future, words in zip(prompts, ("a boat", ""), strict=True):
        assert np.array_equal(future.result(), sampler.draw_prompts(np.array([7, 8]), ["a fox", words]))
    assert sampler.labels == [1]
    batcher.close()


def test_an_error_of_a_version_is_for_who_has_asked() -> None:
    class Broken(FakeSampler):
        def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
            raise ValueError("NaN")

    batcher, broken, whole = Batcher(), Broken(125.0), FakeSampler(125.0)
    bad, good = batcher.submit(broken, np.array([1]), None), batcher.submit(whole, np.array([1]), None)
    with pytest.raises(ValueError, match="NaN"):
        bad.result(10)
    assert good.result(10).shape == (1, 8, 8, 1)
    batcher.close()


def test_what_is_asked_for_after_the_end_is_refused_and_not_waited_for() -> None:
    batcher, whole = Batcher(), FakeSampler(125.0)
    before = batcher.submit(whole, np.array([1]), None)
    batcher.close()
    assert before.result(timeout=10).shape[0] == 1
    with pytest.raises(NotReadyError, match="the studio ends"):
        batcher.submit(whole, np.array([1]), None).result(timeout=10)


def test_who_has_gone_away_does_not_stop_the_batcher() -> None:
    batcher, whole = Batcher(), FakeSampler(125.0)
    for seed in range(50):
        batcher.submit(whole, np.array([seed]), None).cancel()
    assert batcher.submit(whole, np.array([1]), None).result(10).shape == (1, 8, 8, 1)
    batcher.close()


def test_no_more_than_two_others_than_the_champion_keep_a_process(
    registry: StudioRegistry, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page with pictures of many versions would start one for each."""
    closed: list[int] = []
    monkeypatch.setattr(FakeSampler, "close", lambda self: closed.append(self.version))
    painter = studio.painter
    for version in (2, 3, 4, 5):
        registry.add(version, LIGHT)
    for seed, (version, expected) in enumerate(((2, []), (3, []), (2, []), (1, []), (4, [3]), (1, [3]), (3, [3, 2]))):
        assert painter.picture((version, seed, 0, ""))
        assert closed == expected, version
    assert painter.walk(5, 1, 2, 0, 5, 3)
    assert closed == [3, 2, 4]
    assert [sampler.version for sampler in painter.recent] == [3, 5]


def test_versions_that_are_let_go_are_closed(registry: StudioRegistry, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version may have a process of its own."""
    closed: list[int] = []
    monkeypatch.setattr(FakeSampler, "close", lambda self: closed.append(self.version))
    monkeypatch.setattr("studio.painter.VERSIONS", 1)
    for version in (2, 3, 4):
        registry.add(version, 60.0)
    studio.painter.sampler(2)
    assert closed == []
    studio.painter.sampler(3)
    assert closed == [2]
    registry.set_alias(CHAMPION, 4)
    wait_for(lambda: studio.painter.guide.version == 4)
    wait_for(lambda: closed == [2, 1])
    studio.painter.close()
    assert closed == [2, 1, 4, 3]
