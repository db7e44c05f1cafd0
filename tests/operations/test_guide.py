"""Guided pictures: chosen by what people like, each with a seed of its own, and by each vote anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from operations.generate import generate
from operations.guide import Guide
from pipelines import approval as approval_stage
from pipelines import curate
from pipelines.core import facts, reports, rows
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.feedback import all_events, withheld
from pipelines.feedback.events import Erase, Report, Sample, Vote
from pipelines.feedback.sealed import event_images, manifest, seal
from pipelines.feedback.store.event_store import AddResult, EventStore
from pipelines.registry import samplers
from pipelines.scoring import approval, benchmark
from pipelines.settings.schema import Params
from tests.conftest import MakeParams
from tests.contracts import write_rows
from tests.promotion import fakes
from tests.promotion.fakes import CLASSES, FIRST, PainterRegistry, pixels

BEGIN = datetime(2026, 1, 31, tzinfo=UTC)
MEDIAN = 125.0


class DescribedRegistry(PainterRegistry):
    def description(self, number: int | None = None) -> dict[str, Any]:
        return {"family": "gan", "classes": CLASSES, "spec": {"size": 8, "channels": 1, "classes": 2}}

    def load(self, number: int | None = None) -> Any:
        number = number or 1
        painter = super().load(number)
        painter.version = number
        return painter


@pytest.fixture
def params(make_params: MakeParams) -> Params:
    changes = {"evaluate.seed": FIRST, "evaluate.samples": 200, "image.size": 8, "studio.min_coverage": 0.0}
    return make_params(changes)


@pytest.fixture
def registry(project: Project, params: Params, monkeypatch: pytest.MonkeyPatch) -> DescribedRegistry:
    """Version 1 draws noise, in a project with rows of noise."""
    fakes.install(monkeypatch)
    splits = ["train"] * 70 + ["holdout"] * 30
    write_rows(project.clean, pixels(range(100), 128), [number % 2 for number in range(100)], CLASSES, splits=splits)
    found = DescribedRegistry()
    found.add(1, MEDIAN)
    found.samplers[1].labels = []
    return found


@pytest.fixture
def opened(project: Project, params: Params, registry: DescribedRegistry) -> Any:
    with Guide.open(project, params, registry) as guide:  # type: ignore[arg-type]
        yield guide


def bright(images: np.ndarray) -> np.ndarray:
    """(n,) bool: the taste of these tests."""
    return images.mean(axis=(1, 2, 3)) > MEDIAN


def cast(guide: Guide, count: int, likes: Callable[[np.ndarray], np.ndarray] = bright, first: int = 0, rater: str = "") -> None:
    """Votes on `count` pictures, learned from at once; the last one as people send them."""
    shown = guide.generate(count, seed=1_000 + first)
    votes = []
    for number, (sample, liked) in enumerate(zip(shown.samples(), likes(shown.images).tolist(), strict=True), first):
        at = BEGIN + timedelta(seconds=5 * number)
        who = rater or f"r{number % 10}"
        votes.append(Vote(id=f"v{number}", type="vote", rater=who, at=at, sample=sample, value=1 if liked else -1))
    guide.store.add(votes[:-1])
    guide.recall([vote.sample for vote in votes[:-1]])
    guide.live.add(votes[:-1])
    assert guide.vote(votes[-1]) is AddResult.STORED


def share(guide: Guide, **how: Any) -> float:
    return float(bright(guide.generate(300, seed=50_000, **how).images).mean())


def test_before_anything_is_known_pictures_are_as_they_come(opened: Guide, project: Project, registry: Any) -> None:
    found = opened.generate(20, seed=7)
    assert found.selection is not None
    assert found.selection.why.startswith("what people like is not surely known yet: no votes yet; about 100 more")
    assert (found.seeds == 7 + np.arange(20)).all()
    plain = generate(project, opened.params, registry, 20, None, 7, 1)
    assert np.array_equal(found.images, plain.images)
    assert found.shown()[0].weight is None


def test_the_next_pictures_are_what_people_like(opened: Guide) -> None:
    before = share(opened)
    cast(opened, 150)
    assert share(opened) > before + 0.3
    how = opened.generate(300, seed=50_000).selection
    assert how is not None
    assert how.approval is not None
    assert how.forecast is not None
    assert how.forecast == pytest.approx(share(opened), abs=0.1)
    assert how.plain == pytest.approx(before, abs=0.1)


def test_every_picture_can_be_made_again_by_its_seed(opened: Guide) -> None:
    cast(opened, 150)
    found = opened.generate(30, seed=3)
    assert np.array_equal(found.images, opened.sampler.draw(found.seeds, found.labels))
    assert found.labels.tolist() == [seed % 2 for seed in range(3, 33)]
    assert "approval" in np.load(__import__("io").BytesIO(found.archive()))


def test_equal_requests_give_equal_pictures_whatever_is_asked_for_beside(opened: Guide) -> None:
    cast(opened, 150)
    all_at_once = opened.generate(40, seed=3)
    parts = [opened.generate(count, seed=seed).seeds for count, seed in ((10, 3), (30, 13))]
    assert np.array_equal(all_at_once.seeds, np.concatenate(parts))


def test_one_in_ten_is_not_chosen_and_weighs_what_it_should(opened: Guide) -> None:
    cast(opened, 150)
    shown = opened.generate(1_000, seed=9).shown()
    guided = np.array([one.guided for one in shown])
    weights = np.array([one.weight for one in shown], float)
    assert 0.06 < 1 - guided.mean() < 0.14
    assert weights.mean() == pytest.approx(1, abs=0.2)
    assert weights[~guided].mean() > 2 * weights[guided].mean()
    assert all(one.approval_id and one.tries and one.temperature == 0.1 for one in shown)
    plain = [one for one, chosen in zip(shown, guided, strict=True) if not chosen]
    assert all(one.tries == 1 and one.sample.seed == 9 + place for place, one in enumerate(shown) if one in plain)


def test_a_lower_temperature_is_stricter(opened: Guide) -> None:
    cast(opened, 150)
    shares = [share(opened, temperature=temperature) for temperature in (0.05, 0.5, 50.0)]
    assert shares[0] > shares[1] > shares[2]


def test_a_taste_of_one_s_own(opened: Guide) -> None:
    cast(opened, 120)
    cast(opened, 25, lambda images: ~bright(images), first=200, rater="ann")
    assert share(opened, rater="ann") < share(opened) - 0.2
    assert share(opened, rater="nobody") == pytest.approx(share(opened), abs=0.05)
    assert opened.guidance("ann").why == "by 25 judgements of ann, and what everybody likes"
    assert opened.guidance("ann").forecast is None
    assert opened.guidance("nobody").why.endswith("of all people, because nobody has not judged any images")


def test_where_a_second_model_contradicts_pictures_are_not_chosen(opened: Guide) -> None:
    cast(opened, 150)
    second = opened.live.learned.second
    assert second is not None
    opposite = replace(second, direction=-second.direction, bias=-second.bias)
    opened.live.learned = replace(opened.live.learned, second=opposite)
    assert opened.guidance().model is None
    assert "a second one, of thumbnails alone, that they would like them less" in opened.guidance().why


def test_votes_are_stored_once_and_learned_again_when_it_is_opened(
    opened: Guide, project: Project, params: Params, registry: Any
) -> None:
    cast(opened, 120)
    again = Vote(id="v0", type="vote", rater="r0", at=BEGIN, sample=opened.generate(1, seed=1_000).samples()[0], value=1)
    assert opened.vote(again) in (AddResult.KNOWN, AddResult.CONFLICT)
    with Guide.open(project, params, registry) as second:
        assert len(second.live.events) == 120
        assert second.live.model is not None
        opened.live.learn()
        fresh = second.preview.views
        np.testing.assert_allclose(second.live.model.predict(fresh), opened.live.model.predict(fresh), atol=1e-4)


def test_the_stage_approval_learns_the_same_from_the_same_votes(
    opened: Guide, project: Project, params: Params, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast(opened, 120)
    cast(opened, 20, lambda images: ~bright(images), first=120, rater="contrary")
    fold_votes(project, registry)
    train, holdout = (rows.load(project.clean, split, "real") for split in ("train", "holdout"))
    pinned = replace(
        fakes.PINNED,
        train=fakes.Cells().extract(train.images),
        train_ids=train.ids,
        holdout=fakes.Cells().extract(holdout.images),
        ids=holdout.ids,
    )
    monkeypatch.setattr(benchmark, "read", lambda folder: (pinned, fakes.Cells()))
    curate.run(project, params)
    approval_stage.run(project, params)
    learned = approval.read(project.approval)
    opened.live.learn()
    assert learned is not None
    assert opened.live.model is not None
    shown = opened.preview.views
    np.testing.assert_allclose(opened.live.model.predict(shown), learned.predict(shown), atol=1e-4)
    report = reports.read(project.reports, "approval")
    assert report["votes"] == len(opened.live.events) == 140
    assert opened.live.learned.fitted is not None
    assert report["auc"] == pytest.approx(opened.live.learned.fitted.auc.value, abs=1e-4)


def fold_votes(project: Project, registry: Any) -> None:
    """Seal the votes with the images that they are on, as `genloop fold` does."""
    train = rows.load(project.clean, "train")
    project.facts.mkdir(parents=True)
    measured = facts.measure_images(train.images, train.ids.tolist(), train.labels.tolist(), "#000000")
    facts.write(measured, project.facts / "facts.parquet")
    with EventStore.open(project.database_url) as store:
        seal.fold(store, project.feedback, classes=CLASSES)
        event_images.complete(project.feedback, project.uploads, samplers.loader(registry), store.shown)
    manifest.update(project.feedback, project.manifest)


def test_flagged_pictures_are_not_shown_again_and_who_asks_is_forgotten(opened: Guide) -> None:
    first = opened.generate(1, seed=77).samples()[0]
    opened.vote(Report(id="x", type="report", rater="r1", at=BEGIN, sample=first))
    assert first not in opened.generate(1, seed=77).samples()
    cast(opened, 120)
    opened.vote(Erase(id="y", type="erase", rater="r1", at=BEGIN + timedelta(days=1)))
    assert all(event.rater != "r1" for event in opened.live.events.values())


def test_where_all_is_withheld_it_says_so(opened: Guide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withheld.WithheldFilter, "mask", lambda self, images: np.ones(len(images), bool))
    with pytest.raises(GenloopError, match="too near to flagged images, of the class a"):
        opened.generate(2)


def test_what_it_cannot_generate_is_said_before(opened: Guide) -> None:
    with pytest.raises(InputError, match="--label dog: expected one of a, b"):
        opened.generate(2, label="dog")
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="expected more than 0"):
            opened.generate(2, temperature=temperature)


def test_what_was_chosen_is_remembered_for_comparisons_of_versions(opened: Guide, project: Project) -> None:
    cast(opened, 150)
    shown = opened.generate(40, seed=5).shown()
    with EventStore.open(project.database_url) as store:
        store.add_samples(shown)
    assert all_events.guided_samples(project) == {one.sample for one in shown if one.guided}


def test_a_version_that_does_not_generate_any_more_is_left_out_and_said_once(
    project: Project, params: Params, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an external one whose environment was deleted: it loads, and fails when it is asked for images."""
    registry.add(2, MEDIAN)
    kept, lost = (Sample(version=version, seed=5, label=1) for version in (1, 2))
    votes = [
        Vote(id=f"v{number}", type="vote", rater="r", at=BEGIN + timedelta(seconds=number), sample=sample, value=1)
        for number, sample in enumerate((kept, lost, lost.model_copy(update={"seed": 6})))
    ]
    with EventStore.open(project.database_url) as store:
        store.add(votes[:2])

    def fail(*arguments: Any) -> Any:
        raise GenloopError("there is no such interpreter on this machine")

    monkeypatch.setattr(registry.samplers[2], "draw", fail)
    lines: list[str] = []
    with Guide.open(project, params, registry, version=1, log=lines.append) as guide:
        assert list(guide.live.events) == ["v0"]
        assert guide.vote(votes[2]) is AddResult.STORED
        assert len(guide.generate(4).images) == 4
    (said,) = lines
    assert said.startswith("version 2 does not generate any more")
    assert "no such interpreter on this machine); if it is gone for good, delete it from the registry" in said


def test_a_vote_on_a_picture_that_was_shown_elsewhere_counts_too(opened: Guide) -> None:
    sample = Sample(version=1, seed=123_456, label=1)
    opened.vote(Vote(id="z", type="vote", rater="r", at=BEGIN, sample=sample, value=1))
    assert list(opened.live.events) == ["z"]
    gone = Sample(version=9, seed=1, label=1)
    opened.vote(Vote(id="w", type="vote", rater="r", at=BEGIN, sample=gone, value=1))
    assert list(opened.live.events) == ["z"]
