"""genloop generate: what must not be shown gives its place to the next seed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import genloop
from operations import generate
from pipelines.core.project import Project
from pipelines.feedback import withheld
from pipelines.feedback.events import Sample, parse
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store.event_store import EventStore
from pipelines.registry.client import Registry
from tests.conftest import REPOSITORY
from tests.support import read_only

DESCRIPTION = {"family": "gan", "classes": ["zero", "one", "two"], "spec": {"size": 4, "channels": 1, "classes": 3}}


class GreySampler:
    """Draws an image of one grey, its seed, whose second pixel is the label."""

    version, conditional, classes = 7, True, ["zero", "one", "two"]

    def draw(self, seeds: np.ndarray, labels: np.ndarray) -> np.ndarray:
        images = np.empty((len(seeds), 4, 4, 1), np.uint8)
        images[...] = (seeds % 256)[:, None, None, None]
        images[:, 0, 1, 0] = labels
        return images


class Withheld:
    """A filter that goes by the seed."""

    def __init__(self, must_not: Callable[[np.ndarray], np.ndarray]) -> None:
        self.must_not = must_not

    def mask(self, drawn: np.ndarray) -> np.ndarray:
        return self.must_not(drawn[:, 0, 0, 0])


@pytest.fixture
def withhold(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Seeds that draw what was reported, in a project whose registry has one version; it is the working directory."""
    (project.root / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(Registry, "load", lambda self, number=None: GreySampler())
    monkeypatch.setattr(Registry, "description", lambda self, number=None: DESCRIPTION)

    def set_to(must_not: Callable[[np.ndarray], np.ndarray]) -> None:
        monkeypatch.setattr(withheld.WithheldFilter, "read", lambda project, params: Withheld(must_not))

    return set_to


def draw(*arguments: str) -> tuple[SimpleNamespace, dict[str, Any]]:
    result = CliRunner().invoke(genloop.app, ["generate", *arguments, "--out", "some.npz"])
    arrays = dict(np.load("some.npz")) if result.exit_code == 0 else {}
    return SimpleNamespace(code=result.exit_code, err=result.stderr), arrays


class PromptSampler(GreySampler):
    """Also by a prompt: the second pixel is its length."""

    accepts_prompts = True

    def draw_prompts(self, seeds: np.ndarray, prompts: list[str]) -> np.ndarray:
        return self.draw(seeds, np.array([len(prompt) for prompt in prompts]))


@pytest.fixture
def takes_prompts(withhold: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(Registry, "load", lambda self, number=None: PromptSampler())
    about = {**DESCRIPTION, "family": "external", "external": {"manifest": {"condition": "prompts"}}}
    monkeypatch.setattr(Registry, "description", lambda self, number=None: about)
    return withhold


def test_a_prompt_takes_the_place_of_a_class(takes_prompts: Callable[..., None], project: Project) -> None:
    takes_prompts(lambda seeds: np.isin(seeds, [11]))
    found, arrays = draw("--count", "3", "--seed", "10", "--prompt", "狐狸 a fox")
    assert found.code == 0, found.err
    assert arrays["seeds"].tolist() == [10, 13, 12]
    assert arrays["prompts"].tolist() == ["狐狸 a fox"] * 3
    assert arrays["labels"].tolist() == [-1] * 3
    assert (arrays["images"][:, 0, 1, 0] == 8).all()
    picture = CliRunner().invoke(genloop.app, ["generate", "--count", "2", "--prompt", "a fox", "--out", "some.png"])
    assert picture.exit_code == 0, picture.stderr
    shown = [Sample(version=7, seed=seed, prompt="a fox") for seed in (0, 1)]
    with EventStore.open(project.database_url) as store:
        assert list(store.shown(shown)) == shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prompt", "a fox", "--label", "one"], "--prompt: expected either a prompt or a class"),
        (["--prompt", ""], "--prompt: expected a line of 1 to 500 characters"),
        (["--prompt", "a\nb"], "--prompt: expected a line of 1 to 500 characters"),
        (["--prompt", "x" * 501], "--prompt: expected a line of 1 to 500 characters"),
    ],
)
def test_what_is_no_prompt_is_said(takes_prompts: Callable[..., None], arguments: list[str], words: str) -> None:
    takes_prompts(lambda seeds: np.zeros(len(seeds), bool))
    found, _ = draw("--count", "1", *arguments)
    assert found.code == 2
    assert words in " ".join(found.err.split())


def test_a_model_that_takes_no_prompts_says_so(withhold: Callable[..., None]) -> None:
    withhold(lambda seeds: np.zeros(len(seeds), bool))
    found, _ = draw("--count", "1", "--prompt", "a fox")
    assert found.code == 2
    assert "--prompt: this model takes no prompts; leave it out" in " ".join(found.err.split())


def test_the_next_seeds_take_the_places_with_the_same_labels(withhold: Callable[..., None]) -> None:
    withhold(lambda seeds: np.isin(seeds, [11, 13, 15, 16]))
    said, arrays = draw("--count", "5", "--seed", "10")
    assert arrays["seeds"].tolist() == [10, 17, 12, 18, 14]  # 15 and 16 were withheld in their turn
    assert arrays["labels"].tolist() == [1, 2, 0, 1, 2]
    assert (arrays["images"][:, 0, 0, 0] == arrays["seeds"]).all()
    assert (arrays["images"][:, 0, 1, 0] == arrays["labels"]).all()
    assert "5 images by version 7" in said.err
    assert "4 withheld, because people have flagged such images" in said.err


def test_it_is_the_same_whatever_the_batch(withhold: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    withhold(lambda seeds: seeds % 3 == 0)
    whole = draw("--count", "50", "--seed", "10")[1]
    monkeypatch.setattr(generate, "BATCH", 7)
    parts = draw("--count", "50", "--seed", "10")[1]
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    assert not (whole["seeds"] % 3 == 0).any()
    assert len(set(whole["seeds"].tolist())) == 50


def test_what_people_are_shown_is_remembered(withhold: Callable[..., None], project: Project) -> None:
    withhold(lambda seeds: seeds == 11)
    done = CliRunner().invoke(genloop.app, ["generate", "--count", "3", "--seed", "10", "--out", "grid.png"])
    assert done.exit_code == 0, done.stderr
    with EventStore.open(project.database_url) as store:
        new = [store.add_samples([ShownSample(Sample(version=7, seed=seed, label=seed % 3))]) for seed in (10, 11, 12)]
        assert new == [0, 1, 0]
        assert store.add_samples([ShownSample(Sample(version=7, seed=13, label=2))]) == 0  # in the place of 11


@pytest.mark.parametrize("made", [True, False])
def test_images_come_from_a_project_that_cannot_be_written(
    withhold: Callable[..., None], project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
    made: bool,
) -> None:  # fmt: skip
    withhold(lambda greys: np.zeros(len(greys), bool))
    project.data.mkdir()
    if made:
        EventStore.open(project.database_url).close()
    read_only.close(project.root)
    read_only.go_by_mode(monkeypatch)
    out = tmp_path_factory.mktemp("out")
    out.chmod(0o755)
    before = read_only.names(project.root)
    result = CliRunner().invoke(genloop.app, ["generate", "--count", "3", "--out", str(out / "x.png")])
    assert result.exit_code == 0, result.output
    assert "nobody can vote on these images, because the database of events cannot be written here\n" in result.stderr
    assert (out / "x.png").is_file()
    assert read_only.names(project.root) == before
    read_only.open_again(project.root)


def test_a_reported_sample_is_withheld_before_any_fold(withhold: Callable[..., None], project: Project) -> None:
    withhold(lambda greys: greys < 0)
    said = {"rater": "ann", "at": "2026-01-31T12:00:00Z", "type": "report", "reason": ""}
    with EventStore.open(project.database_url) as store:
        store.add(
            [
                parse({**said, "id": "a", "sample": {"version": 7, "seed": 12, "label": 0}}),
                parse(
                    {**said, "id": "b", "sample": {"version": 7, "seed": 11, "label": 0}}
                ),  # another image than that of label 2
                parse({**said, "id": "c", "sample": {"version": 6, "seed": 13, "label": 1}}),
            ]
        )
    found, arrays = draw("--count", "5", "--seed", "10")
    assert arrays["seeds"].tolist() == [10, 11, 15, 13, 14]
    assert arrays["labels"].tolist() == [1, 2, 0, 1, 2]
    assert "1 withheld, because people have flagged such images" in found.err


def test_no_database_is_made_where_there_is_nothing_to_remember(withhold: Callable[..., None], project: Project) -> None:
    withhold(lambda seeds: np.zeros(len(seeds), bool))
    assert draw("--count", "3")[0].code == 0
    assert not list(project.root.rglob("*.db"))


def test_nothing_is_said_where_nothing_is_withheld(withhold: Callable[..., None]) -> None:
    withhold(lambda seeds: np.zeros(len(seeds), bool))
    said, arrays = draw("--count", "3")
    assert "withheld" not in said.err
    assert arrays["seeds"].tolist() == [0, 1, 2]


def test_a_model_that_draws_little_else_is_an_error_and_nothing_is_written(
    withhold: Callable[..., None], project: Project
) -> None:
    withhold(lambda seeds: np.ones(len(seeds), bool))
    said, _ = draw("--count", "2", "--label", "one")
    assert said.code == 1
    assert "too near to flagged images, of the class one; lower feedback.report_reach" in said.err
    assert not (project.root / "some.npz").exists()


def test_seeds_run_out_at_the_end_of_their_range(withhold: Callable[..., None]) -> None:
    last = 2**31 - 3
    withhold(lambda seeds: seeds == last % 256)
    said, _ = draw("--count", "3", "--seed", str(last))
    assert said.code == 1
    assert "take another --seed" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--count", "-2"], "--count -2: expected 1 to 1,000,000 for a .npz file"),
        (["--count", "0"], "--count 0: expected 1 to 1,000,000"),
        (["--count", "200000000"], "--count 200000000: expected 1 to 1,000,000"),
        (["--count", "3", "--seed", "-1"], "--seed -1: expected 0 to 2147483645"),
        (["--count", "3", "--seed", str(2**31)], "--seed 2147483648: expected 0 to 2147483645"),
        (["--count", "3", "--out", "some.jpg"], "--out some.jpg: expected a name that ends in .png or .npz"),
        (["--count", "3", "--out", "none/some.npz"], "its folder does not exist"),
        (["--count", "3", "--label", "BAD"], "--label BAD: expected one of zero, one, two, or an index below 3"),
        (["--count", "3", "--label", "3"], "--label 3: expected one of zero, one, two, or an index below 3"),
        (["--count", "3", "--label", "-1"], "--label -1: expected one of zero, one, two, or an index below 3"),
        (["--count", "3", "--label", ""], "--label : expected one of zero, one, two"),
    ],
)
def test_nonsense_is_refused_before_a_model_is_loaded(
    withhold: Callable[..., None], monkeypatch: pytest.MonkeyPatch, project: Project, arguments: list[str], words: str
) -> None:
    monkeypatch.setattr(Registry, "load", lambda self, number=None: pytest.fail("it was loaded"))
    before = sorted(project.root.rglob("*"))
    arguments = arguments if "--out" in arguments else [*arguments, "--out", "some.npz"]
    result = CliRunner().invoke(genloop.app, ["generate", *arguments], env={"COLUMNS": "200"})
    assert (result.exit_code, result.stderr.count(words)) == (2, 1), result.stderr
    assert sorted(project.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({"classes": []}, ["--label", "zero"], "--label: this model takes no labels; leave it out"),
        ({"family": "gan-dense"}, ["--label", "zero"], "--label: this model takes no labels; leave it out"),
        ({"classes": [f"c{n}" for n in range(30)]}, ["--label", "BAD"], "c18, c19 and 10 more, or an index below 30"),
        ({"spec": {"size": 256, "channels": 3}}, [], "--count 20000: expected at most 10,922 images of 256x256 at once"),
    ],
)
def test_what_a_model_cannot_do_is_known_before_it_is_loaded(
    withhold: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.setattr(Registry, "load", lambda self, number=None: pytest.fail("it was loaded"))
    monkeypatch.setattr(Registry, "description", lambda self, number=None: {**DESCRIPTION, **changes})
    said, _ = draw("--count", "20000", *arguments)
    assert said.code == 2
    assert words in said.err


def test_a_folder_that_cannot_be_written_is_said_at_once(
    withhold: Callable[..., None], monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    said, _ = draw("--count", "3")
    assert said.code == 2
    assert f"no permission to write in {project.root}" in said.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--temperature", "0.5"], "--temperature 0.5: only guided images have one; add --guided"),
        (["--rater", "ann"], "--rater ann: only guided images have one"),
        (["--guided", "--rater", " "], "--rater: expected the name of a rater"),
        (["--guided", "--temperature", "0"], "--temperature 0.0: expected more than 0, and at most 100"),
        (["--guided", "--temperature", "nan"], "--temperature nan: expected more than 0"),
    ],
)
def test_what_only_guided_images_have(withhold: Callable[..., None], options: list[str], words: str) -> None:
    withhold(lambda greys: np.zeros(len(greys), bool))
    said, _ = draw("--count", "5", *options)
    assert (said.code, words in said.err) == (2, True), said.err


def test_guided_images_are_told_by_their_seeds(
    withhold: Callable[..., None], monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    chosen = generate.Selection(
        "by 120 judgements", "abc", 0.1, np.array([0.75, 0.5]), np.array([3, 1]), np.array([True, False]),
        np.array([0.5, 2.0]), 0.7, 0.5, 1,
    )  # fmt: skip
    images = GreySampler().draw(np.array([8, 9]), np.array([0, 2]))
    made = generate.GeneratedImages(
        7, images, np.array([0, 2], np.int32), np.array([8, 9]), 0, GreySampler.classes, True, chosen
    )
    guide = SimpleNamespace(generate=lambda *how: made)
    monkeypatch.setattr("operations.guide.Guide.open", lambda *arguments: nullcontext(guide))
    withhold(lambda greys: np.zeros(len(greys), bool))
    result = CliRunner().invoke(genloop.app, ["generate", "--count", "2", "--guided", "--out", "some.png"])
    assert result.stdout == "version,seed,label,guided,approval,tries\n7,8,0,1,0.750,3\n7,9,2,0,0.500,1\n"
    assert (
        "guided by 120 judgements; temperature 0.1, 2.0 tries an image; people would like about 70% of such images, and 50%"
        in (result.stderr)
    )
    assert "for 1 of 2 none was accepted" in result.stderr
    with EventStore.open(project.database_url) as store:
        (shown,) = store.shown([Sample(version=7, seed=8, label=0)]).values()
    assert (shown.guided, shown.approval, shown.tries, shown.weight) == (True, 0.75, 3, 0.5)
