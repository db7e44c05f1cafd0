"""The stage as a whole, on tiny data."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from pipelines import catalogue
from pipelines.core import backend
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from tests.contracts import pictures, write_feedback, write_rows
from tests.training import rows

backend.load()

from pipelines.models import base  # noqa: E402
from pipelines.training import checkpoint_folders, collapse, dataset, family_training, monitor  # noqa: E402


def test_it_leaves_a_model_that_draws_and_says_how_it_went(project: Project, make_params) -> None:
    rows.fill(project)
    rows.trained(project, make_params)

    family = base.load(project.model, catalogue.get(catalogue.MODELS, base.describe(project.model).family))
    assert base.draw(family, range(3)).shape == (3, 8, 8, 1)
    assert base.describe(project.model).classes == list(rows.CLASSES)
    report = json.loads((project.reports / "train.json").read_text())
    assert (report["rows"], report["step"], report["classes"]) == (30, 6, 3)
    assert report["versions"]["keras"]
    with (project.reports / "training.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["step"] for line in lines] == ["3", "6"]
    assert {"discriminator_loss", "generator_loss", "images_per_second"} <= set(lines[0])
    Image.open(project.reports / "training-samples.png").verify()
    logs = project.root / report["log"]
    assert len(list(logs.glob("samples-*.png"))) == 2
    assert not list(project.checkpoints.glob("*/*")), "done, so nothing to go on from"


@pytest.mark.slow
def test_events_are_read_by_tensorboard(project: Project, make_params) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    rows.fill(project)
    rows.trained(project, make_params)
    (logs,) = project.logs.glob("train/*")
    events = loader.EventAccumulator(str(logs))
    events.Reload()
    assert [event.step for event in events.Scalars("generator_loss")] == [3, 6]
    assert events.Scalars("images_per_second")[0].value > 0
    assert [event.step for event in events.Images("samples")] == [3, 6]


def test_the_same_seed_gives_the_same_weights_and_another_others(project: Project, make_params) -> None:
    rows.fill(project)
    first, second = rows.trained(project, make_params), rows.trained(project, make_params)
    other = rows.trained(project, make_params, {"train.seed": 1})
    assert rows.equal(first, second)
    assert not rows.equal(first, other)


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[] if "gan" in name else [pytest.mark.slow]) for name in sorted(catalogue.MODELS)]
)
def test_unlabelled_rows_train_an_unconditional_model(family: str, project: Project, make_params) -> None:
    rows.fill(project, classes=())
    rows.trained(project, make_params, {"model.family": family, "model.preset": rows.preset(family)})
    assert base.describe(project.model).spec.classes == 0


def test_a_single_class_is_enough(project: Project, make_params) -> None:
    rows.fill(project, classes=("only",))
    rows.trained(project, make_params)
    assert base.describe(project.model).classes == ["only"]


def test_rows_without_a_label_among_labelled_ones_are_left_out_and_counted(project: Project, make_params) -> None:
    labels = [None if number < 5 else number % 3 for number in range(30)]
    write_rows(project.clean, pictures(30, 8, 1), labels, rows.CLASSES)
    write_feedback(project.curated, classes=rows.CLASSES)
    rows.trained(project, make_params)
    report = json.loads((project.reports / "train.json").read_text())
    assert (report["rows"], report["rows_unlabelled"]) == (25, 5)


def test_the_holdout_is_never_trained_on(project: Project, make_params) -> None:
    rows.fill(project, splits=["holdout" if number % 3 == 0 else "train" for number in range(30)])
    rows.trained(project, make_params)
    assert json.loads((project.reports / "train.json").read_text())["rows"] == 20


@pytest.mark.parametrize(
    ("prepare", "changes", "words"),
    [
        ({"count": 7}, {}, r"7 rows to train on, fewer than train.batch_size: 8.*set train.batch_size to 7"),
        ({"splits": ["holdout"] * 30}, {}, "no rows in the train split"),
        ({}, {"image.size": 12}, r"shape \(8, 8, 1\), expected \(12, 12, 1\)"),
        ({}, {"image.channels": 3}, r"shape \(8, 8, 1\), expected \(8, 8, 3\)"),
        ({"weights": [0.0] * 30}, {}, "weights from 0.0 to 0.0"),
        ({"weights": [float("nan")] * 30}, {}, "weights from nan"),
    ],
)
def test_unusable_rows_are_said_in_words(prepare, changes, words: str, project: Project, make_params) -> None:
    rows.fill(project, **prepare)
    with pytest.raises(InputError, match=words):
        rows.trained(project, make_params, changes)
    assert not project.model.exists()


def test_a_diverged_training_says_so_and_saves_nothing(project: Project, make_params, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.fill(project)
    kind = catalogue.get(catalogue.MODELS, "gan")
    whole = kind.objective
    monkeypatch.setattr(kind, "objective", lambda self, *args, **more: whole(self, *args, **more) * float("nan"))
    with pytest.raises(GenloopError, match=r"diverged at step 1: .*not finite.*train.seed"):
        rows.trained(project, make_params)
    assert not project.model.exists()
    assert not list(project.checkpoints.glob("*/*"))


def test_weights_that_are_not_finite_stop_it_even_where_the_loss_is(project: Project, make_params, monkeypatch) -> None:
    """The step that spoils the weights still reports the loss that it started from."""
    rows.fill(project)
    follow = monitor.TrainingMonitor.on_train_batch_end

    def spoil(self, batch, logs=None) -> None:
        follow(self, batch, logs)
        if self.step == 3:  # the last of an epoch
            variable = self.model.trainable_variables[0]
            variable.assign(np.full(variable.shape, np.nan))

    monkeypatch.setattr(monitor.TrainingMonitor, "on_train_batch_end", spoil)
    with pytest.raises(GenloopError, match=r"diverged at step 3: weights of generator/.* are not finite"):
        rows.trained(project, make_params)
    assert not project.model.exists()
    assert not list(project.checkpoints.glob("*/*"))


def test_a_collapsed_model_is_not_saved(project: Project, make_params, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.fill(project)
    kind = catalogue.get(catalogue.MODELS, "gan")
    monkeypatch.setattr(
        kind, "call", lambda self, inputs, training=False: self.generator([inputs["latents"] * 0, inputs["label"]])
    )
    with pytest.raises(GenloopError, match=r"collapsed: at step 6 .*0.0%"):
        rows.trained(project, make_params)
    assert not project.model.exists()


def test_collapse_needs_several_previews_in_a_row_or_the_end() -> None:
    low, high = collapse.LEAST / 2, collapse.LEAST * 2
    collapse.check([high, low, low, low], 10)
    collapse.check([low, low, low], 10)
    collapse.check([low, low, low, high], 10)
    collapse.check([low, high], 10, at_end=True)
    with pytest.raises(GenloopError):
        collapse.check([high, low, low, low, low], 10)
    with pytest.raises(GenloopError):
        collapse.check([high, low], 10, at_end=True)


def test_spread_sees_within_classes_only() -> None:
    images = np.zeros((4, 2, 2, 1), np.uint8)
    images[2:] = 200
    labels = np.array([0, 0, 1, 1])
    assert collapse.spread(images, labels) == 0  # each class always drawn the same
    assert collapse.spread(images, labels * 0) == pytest.approx(100)


def test_code_and_settings_are_in_the_key(project: Project, make_params) -> None:
    rows.fill(project)

    def key(changes) -> str:
        values = make_params({**rows.TINY, **changes})
        family = catalogue.get(catalogue.MODELS, values.model.family)
        return checkpoint_folders.key(family_training.fixed_by(project, values), family_training.code(family))

    assert key({}) == key({"evaluate.samples": 77})
    assert (
        len(
            {
                key({}),
                key({"train.steps": 7}),
                key({"train.seed": 5}),
                key({"model.family": "gan-dense", "model.preset": "small"}),
            }
        )
        == 4
    )
    before = key({})
    rows.fill(project, 31)
    assert key({}) != before


def test_a_class_drawn_as_two_images_again_and_again_is_a_collapse(project: Project, make_params) -> None:
    """Its spread is as large as that of real rows; only its images have twins."""
    random = np.random.default_rng(0)
    real = random.integers(0, 256, (64, 8, 8, 1)).astype(np.uint8)
    labels = np.repeat([0, 1], 32).astype(np.int32)
    data = dataset.Dataset(real, labels, np.ones(64), ["a", "b"], 0)
    labels_shown = np.repeat([0, 1], 8).astype(np.int32)
    variety = collapse.Variety.measure(data, labels_shown)
    two = np.concatenate([real[[0, 1] * 4], real[[32, 33] * 4]])
    shares = variety.shares(two, labels_shown)
    assert shares["spread"] > 0.5
    assert shares["apart"] == 0
    fresh = random.integers(0, 256, (16, 8, 8, 1)).astype(np.uint8)
    assert variety.shares(fresh, labels_shown)["apart"] == pytest.approx(1, abs=0.1)


def test_a_loss_beyond_all_bounds_stops_it_although_it_is_finite(project: Project, make_params, monkeypatch) -> None:
    rows.fill(project)
    kind = catalogue.get(catalogue.MODELS, "gan")
    whole = kind.objective
    monkeypatch.setattr(kind, "objective", lambda self, *args, **more: whole(self, *args, **more) * 1e9)
    with pytest.raises(GenloopError, match=r"diverged at step 1: a loss is beyond 1e\+07"):
        rows.trained(project, make_params)
