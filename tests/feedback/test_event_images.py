"""Beside each sealed file lie the pictures that its events speak of, drawn once, or the reason why there is none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.core import images, png
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.feedback.events import Event, Sample, Vote, parse
from pipelines.feedback.sealed import event_images, seal, uploads
from pipelines.feedback.sealed.event_images import EventImage, LoadVersion, UnknownVersionError
from pipelines.feedback.shown import ShownSample


class Flat:
    """Draws a flat image whose grey is its label, or 200 without one; in the first pixel its seed."""

    accepts_prompts = False

    def __init__(self, version: int, classes: int = 3) -> None:
        self.classes, self.conditional, self.generation = [str(label) for label in range(classes)], classes > 0, version
        self.identity = f"made of {version}"
        self.calls: list[tuple[list[int], list[int] | None]] = []

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        assert seeds.dtype == np.int64
        assert labels is None or labels.dtype == np.int32
        self.calls.append((seeds.tolist(), None if labels is None else labels.tolist()))
        drawn = np.full((len(seeds), 4, 4, 1), 200, np.uint8)
        if labels is not None:
            drawn[...] = 10 * labels[:, None, None, None]
        drawn[:, 0, 0, 0] = seeds % 256
        return drawn


class OfPrompts(Flat):
    """Also draws by a prompt: a flat image whose grey is the prompt's length."""

    accepts_prompts = True

    def draw_prompts(self, seeds: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        assert seeds.dtype == np.int64
        drawn = np.full((len(seeds), 4, 4, 1), [[[[len(prompt)]]] for prompt in prompts], np.uint8)
        drawn[:, 0, 0, 0] = seeds % 256
        return drawn


class Registry(dict[int, Flat]):
    """Versions by number; how often each was loaded."""

    def __init__(self, *versions: int, classes: int = 3) -> None:
        super().__init__({version: Flat(version, classes) for version in versions})
        self.loaded: list[int] = []

    def __call__(self, version: int) -> Flat:
        if version not in self:
            raise UnknownVersionError(f"version {version} is not in the registry")
        self.loaded.append(version)
        return self[version]


def event(number: int, kind: str, **said: Any) -> Event:
    return parse({"id": f"e{number}", "type": kind, "rater": "ann", "at": "2026-01-31T12:00:00Z", **said})


def sample(seed: int, label: int | None = 0, version: int = 1) -> dict[str, int]:
    return {"version": version, "seed": seed, **({} if label is None else {"label": label})}


def vote(number: int, *about: Any, **named: Any) -> Event:
    return event(number, "vote", sample=sample(*about, **named), value=1)


def found(folder: Path, batch: str = "a") -> list[EventImage]:
    return list(event_images.read(folder, [batch]))


def complete(folder: Path, load: LoadVersion) -> list[str]:
    return event_images.complete(folder, folder.with_name("uploads"), load)


@pytest.fixture
def folder(project: Project) -> Path:
    project.feedback.mkdir(parents=True)
    return project.feedback


def test_each_sample_is_drawn_once_whoever_speaks_of_it(folder: Path) -> None:
    events = [
        vote(1, 5, 2),
        vote(2, 5, 2),
        event(3, "choice", winner=sample(5, 2), loser=sample(6, 1)),
        event(4, "report", sample=sample(7)),
        event(5, "report", row="a" * 64),
        event(6, "label", row="a" * 64, label=1),
        event(7, "erase"),
    ]
    seal.write(folder, "a", events)
    registry = Registry(1)
    assert complete(folder, registry) == ["a"]
    assert [(picture.seed, picture.label) for picture in found(folder)] == [(7, 0), (6, 1), (5, 2)]
    assert registry[1].calls == [([7, 6, 5], [0, 1, 2])]
    first = found(folder)[-1]
    assert first.sample == Sample(version=1, seed=5, label=2)
    assert (first.upload, first.missing) == (None, None)
    assert first.generation == 2  # one more than that of the version
    assert first.image is not None
    pixels = images.decode_pixels(first.image)
    assert pixels.shape == (4, 4, 1)
    assert pixels[0, 0, 0] == 5
    assert pixels[3, 3, 0] == 20


def test_what_is_done_is_not_done_again(folder: Path) -> None:
    seal.write(folder, "a", [vote(1, 1)])
    assert complete(folder, Registry(1)) == ["a"]
    before = event_images.images_file(folder, "a").read_bytes()
    seal.write(folder, "b", [vote(2, 1)])
    registry = Registry(1)
    assert complete(folder, registry) == ["b"]  # with its own: each batch needs nobody else
    assert registry.loaded == [1]
    assert event_images.images_file(folder, "a").read_bytes() == before
    assert len(found(folder, "b")) == 1
    assert complete(folder, registry) == []


def test_what_the_registry_does_not_know_is_missing_and_the_rest_is_drawn(folder: Path) -> None:
    seal.write(folder, "a", [vote(1, 1), vote(2, 1, version=9), vote(3, 2, version=9), vote(4, 3, 7)])
    complete(folder, Registry(1))
    assert [picture.missing for picture in found(folder)] == [
        None,
        "version 1 knows 3 classes, and no label 7",
        *["version 9 is not in the registry"] * 2,
    ]
    assert [picture.image is None for picture in found(folder)] == [False, True, True, True]
    assert {picture.generation for picture in found(folder) if picture.missing} == {0}


def test_a_model_without_classes_draws_what_has_no_label(folder: Path) -> None:
    seal.write(folder, "a", [vote(1, 1, None), vote(2, 2, 0), vote(3, 3, 1)])
    registry = Registry(1, classes=0)
    complete(folder, registry)
    assert {picture.seed: picture.missing for picture in found(folder)} == {
        1: None,
        2: None,
        3: "version 1 knows no classes, and no label 1",
    }
    assert registry[1].calls == [([2], [0]), ([1], None)]


def of_prompt(number: int, seed: int, prompt: str, version: int = 1) -> Event:
    return event(number, "vote", sample={"version": version, "seed": seed, "prompt": prompt}, value=1)


def test_what_was_asked_for_by_a_prompt_is_drawn_again_by_it(folder: Path) -> None:
    votes = [
        of_prompt(1, 5, "a fox"),
        vote(2, 5, 1),
        of_prompt(3, 5, "a boat"),
        of_prompt(4, 5, "a fox", version=2),
        vote(5, 6, None),
    ]
    seal.write(folder, "a", votes)
    registry = Registry(2)
    registry[1] = OfPrompts(1)
    complete(folder, registry)
    drawn = {picture.sample: picture for picture in found(folder)}
    assert set(drawn) == {one.sample for one in votes if isinstance(one, Vote)}
    for prompt in ("a fox", "a boat"):
        picture = drawn[Sample(version=1, seed=5, prompt=prompt)]
        assert picture.image is not None
        assert images.decode_pixels(picture.image)[..., 0].ravel().tolist() == [5, *[len(prompt)] * 15]
        assert (picture.class_name, picture.generation, picture.identity) == (None, 2, "made of 1")
    assert drawn[Sample(version=2, seed=5, prompt="a fox")].missing == "version 2 takes no prompts"


def test_images_that_were_sealed_before_there_were_prompts_are_read(folder: Path) -> None:
    seal.write(folder, "a", [vote(1, 5), vote(2, 6)])
    complete(folder, Registry(1))
    path = event_images.images_file(folder, "a")
    before = found(folder)
    pq.write_table(pq.read_table(path).drop_columns(["prompt"]), path)
    assert found(folder) == before
    assert event_images.guided(folder, "a") == set()
    assert event_images.prune(folder, "a", [vote(1, 5)])
    assert [picture.seed for picture in found(folder)] == [5]


def test_of_two_prompts_the_one_goes_that_no_event_names(folder: Path) -> None:
    seal.write(folder, "a", [of_prompt(1, 5, "a fox"), of_prompt(2, 5, "a boat")])
    registry = Registry()
    registry[1] = OfPrompts(1)
    fox = Sample(version=1, seed=5, prompt="a fox")
    event_images.complete(folder, folder.with_name("uploads"), registry, lambda _: {fox: ShownSample(fox, guided=True)})
    assert event_images.guided(folder, "a") == {fox}
    assert event_images.prune(folder, "a", [of_prompt(2, 5, "a boat")])
    assert [picture.prompt for picture in found(folder)] == ["a boat"]


def test_each_sample_has_the_name_of_its_class_by_its_own_version(folder: Path) -> None:
    seal.write(
        folder, "a", [vote(1, 1, 2), vote(2, 1, 0, version=2), vote(3, 1, None), vote(4, 1, 7), vote(5, 1, 0, version=3)]
    )
    registry = Registry(1, 2)
    registry[1].classes, registry[2].classes = ["ant", "bee", "cow"], ["bee"]
    registry[3] = Flat(3, classes=0)
    complete(folder, registry)
    assert [(one.version, one.label, one.class_name) for one in found(folder)] == [
        (1, 2, "cow"),
        (1, 7, None),
        (1, None, None),
        (2, 0, "bee"),
        (3, 0, None),
    ]
    event_images.prune(folder, "a", [vote(1, 1, 2), vote(3, 1, None)])
    assert [(one.label, one.class_name) for one in found(folder)] == [(2, "cow"), (None, None)]


def test_many_are_drawn_a_few_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_images, "AT_ONCE", 3)
    seal.write(folder, "a", [vote(number, number, number % 5) for number in range(10)])
    registry = Registry(1)
    complete(folder, registry)
    assert max(len(seeds) for seeds, _ in registry[1].calls) <= 3
    for picture in found(folder):
        assert (picture.image is None) == (picture.label in (3, 4))
        if picture.image:
            assert images.decode_pixels(picture.image)[0, 0, 0] == picture.seed
    with pq.ParquetFile(event_images.images_file(folder, "a")) as file:
        assert file.num_row_groups == 4
        assert file.schema_arrow == event_images.SCHEMA


def test_nothing_to_draw_loads_nothing(folder: Path) -> None:
    seal.write(folder, "a", [event(1, "label", row="a" * 64, label=1)])

    def unwanted(version: int) -> Any:
        raise AssertionError

    heavy = {"keras", "mlflow", "tensorflow"} & set(sys.modules)
    assert complete(folder, unwanted) == ["a"]
    assert found(folder) == []
    assert {"keras", "mlflow", "tensorflow"} & set(sys.modules) == heavy


def test_uploads_come_as_they_were_sent_and_what_is_lost_is_said(folder: Path) -> None:
    seal.write(folder, "a", [event(1, "upload", image="a" * 64, label=1)])
    with pytest.raises(GenloopError, match="data/uploads: events hold images that people sent, but this folder does not exist"):
        complete(folder, Registry())
    assert not event_images.images_file(folder, "a").exists()

    sent = folder.with_name("uploads")
    digest = uploads.keep(sent, png.encode(np.zeros((8, 8, 3), np.uint8)), images.Limits(10**6, 64, 4096))
    seal.write(folder, "a", [event(number, "upload", image=one) for number, one in enumerate([digest, digest, "b" * 64])])
    complete(folder, Registry())
    kept, lost = sorted(found(folder), key=lambda picture: picture.missing or "")
    assert kept == EventImage(None, None, None, digest, 0, uploads.read(sent, digest), None)
    assert lost.image is None
    assert "restore it from a backup" in str(lost.missing)


def test_a_registry_that_does_not_answer_leaves_what_was_done(folder: Path) -> None:
    seal.write(folder, "a", [vote(1, 1)])
    seal.write(folder, "b", [vote(2, 1, version=2)])

    def shy(version: int) -> Flat:
        if version == 2:
            raise GenloopError("no answer")
        return Flat(version)

    with pytest.raises(GenloopError, match="no answer"):
        complete(folder, shy)
    assert sorted(path.name for path in folder.iterdir()) == ["events-a.parquet", "events-b.parquet", "images-a.parquet"]
    assert complete(folder, Registry(1, 2)) == ["b"]


@pytest.mark.parametrize("about", [sample(1, version=2), {"version": 2, "seed": 1, "prompt": "a fox"}])
def test_a_version_that_loads_and_does_not_generate_is_said_with_what_to_do(folder: Path, about: dict[str, Any]) -> None:
    """As an external one whose environment was deleted."""

    class Silent(OfPrompts):
        def draw(self, *arguments: Any) -> np.ndarray:
            raise GenloopError("there is no such interpreter on this machine")

        draw_prompts = draw

    seal.write(folder, "a", [vote(1, 1)])
    seal.write(folder, "b", [event(2, "vote", sample=about, value=1)])
    registry = Registry(1)
    registry[2] = Silent(2)
    words = r"version 2 is registered, but generates no images \(.*no such interpreter.*the events are sealed.*delete it from"
    with pytest.raises(GenloopError, match=words):
        complete(folder, registry)
    del registry[2]
    assert complete(folder, registry) == ["b"]
