"""approval: too few votes change nothing, votes at random change nothing, and a taste moves the weights of the real rows."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from pipelines import approval as stage
from pipelines.core import backend, png, reports
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.features.base import Features
from pipelines.feedback import curated
from pipelines.metrics.inputs import Benchmark
from pipelines.preference.weights import effective_share, tilt
from pipelines.scoring import approval, benchmark, views
from tests.conftest import REPOSITORY, MakeParams
from tests.contracts import pictures, write_feedback, write_rows

CLASSES = ["a", "b", "c"]
ROWS, HELD_OUT = 300, 90


class Thumbnail:
    """An extractor that sees sixteen greys of an image."""

    def __init__(self) -> None:
        self.seen = 0

    def extract(self, shown: np.ndarray) -> Features:
        self.seen += len(shown)
        small = shown.reshape(len(shown), 4, 2, 4, 2).mean(axis=(2, 4))
        return Features(small.reshape(len(shown), -1).astype(np.float32), None)


@pytest.fixture
def extractor(project: Project, monkeypatch: pytest.MonkeyPatch) -> Thumbnail:
    """In a project with clean rows and a benchmark that has kept the features of all but ten of those to train on."""
    rows, count = np.concatenate([pictures(ROWS, 8, 1), pictures(HELD_OUT, 8, 1, seed=2)]), ROWS + HELD_OUT
    splits = ["train"] * ROWS + ["holdout"] * HELD_OUT
    write_rows(project.clean, rows, [number % 3 for number in range(count)], CLASSES, splits=splits)
    found = Thumbnail()
    ids = np.array([f"{number:064d}" for number in range(count)])
    kept = np.random.default_rng(0).permutation(ROWS)[:-10]
    held_out = ROWS + np.random.default_rng(1).permutation(HELD_OUT)
    features = found.extract(rows)
    train, holdout = (Features(features.vectors[chosen], None) for chosen in (kept, held_out))
    labels = (held_out % 3).astype(np.int32)
    pinned = Benchmark("id", CLASSES, holdout, labels, train, ids=ids[held_out], train_ids=ids[kept])
    monkeypatch.setattr(benchmark, "read", lambda folder: (pinned, found))
    monkeypatch.setattr(backend, "load", lambda: None)
    found.seen = 0
    write_feedback(project.curated, classes=CLASSES)
    return found


def judge(project: Project, count: int, likes: Callable[[np.ndarray], np.ndarray], choices: bool = False) -> None:
    """Votes, or choices, on drawn images: what `likes` says of each, (n,) bool."""
    drawn = pictures(count, 8, 1, seed=1)
    numbers = np.arange(count)
    liked = likes(drawn)
    samples: dict[str, Any] = {
        "version": [1] * count, "seed": numbers, "label": numbers % 3, "version_label": numbers % 3, "generation": [1] * count,
        "liked": np.where(liked, 0.95, 0.05), "prompt": [None] * count,
        "image": [png.encode(image) for image in drawn],
    }  # fmt: skip
    curated.write_table(project.curated, "samples", samples)
    if choices:
        pairs = np.random.default_rng(0).permutation(count).reshape(2, -1)
        pairs = np.where(liked[pairs[0]] >= liked[pairs[1]], pairs, pairs[::-1])
        judgements: dict[str, Any] = {"winner": pairs[0], "loser": pairs[1]}
    else:
        judgements = {"sample": numbers, "value": np.where(liked, 1, -1)}
    events = len(next(iter(judgements.values())))
    judgements |= {"weight": [0.8] * events, "event": [f"event {number}" for number in range(events)]}
    curated.write_table(project.curated, "choices" if choices else "votes", judgements)


def heavy(shown: np.ndarray) -> np.ndarray:
    """Images whose upper half is bright."""
    ink = shown[:, :4].mean(axis=(1, 2, 3))
    return ink > np.median(pictures(ROWS, 8, 1)[:, :4].mean(axis=(1, 2, 3)))


def at_random(shown: np.ndarray) -> np.ndarray:
    return np.random.default_rng(3).random(len(shown)) < 0.5


def report(project: Project) -> dict[str, Any]:
    found = reports.read(project.reports, "approval")
    assert json.loads((project.approval / "approval.json").read_text()) == found
    return found


def bins(project: Project) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((project.reports / "approval.csv").read_text())))


def page(project: Project) -> str:
    html = (project.reports / "approval.html").read_text()
    HTMLParser().feed(html)
    assert "http" not in html.replace("http-equiv", "")
    assert "nan" not in html.split("</style>")[1].split("base64")[0]
    return html


@pytest.mark.parametrize("choices", [False, True])
def test_a_taste_moves_weights_towards_it_within_the_floor(
    project: Project, extractor: Thumbnail, make_params: MakeParams, capsys: pytest.CaptureFixture[str], choices: bool
) -> None:
    judge(project, 400, heavy, choices)
    stage.run(project, make_params({"feedback.min_effective_share": 0.6}))
    found = report(project)
    assert found["changed"] is True
    assert (found["votes"], found["choices"]) == ((0, 200) if choices else (400, 0))
    assert 0.5 < found["auc_low"] < found["auc"] < found["auc_high"] <= 1
    assert found["effective_share"] >= 0.6
    found_weights = approval.weights(project.approval)
    assert found_weights is not None
    weights = dict(zip(*found_weights, strict=True))
    w = np.array([weights[f"{number:064d}"] for number in range(ROWS)])
    assert effective_share(w) == pytest.approx(found["effective_share"])
    liked = heavy(pictures(ROWS, 8, 1))
    assert np.average(liked, weights=w) > liked.mean() + 0.15
    for label in range(3):
        assert w[np.arange(ROWS) % 3 == label].mean() == pytest.approx(1)
    assert extractor.seen == 400 + 10  # what `reference` kept is not extracted again
    assert "what people prefer is put first in" in capsys.readouterr().out


def test_held_out_rows_get_weights_by_the_same_model_and_strength(
    project: Project, extractor: Thumbnail, make_params: MakeParams
) -> None:
    judge(project, 400, heavy)
    stage.run(project, make_params({"feedback.min_effective_share": 0.6}))
    ids = np.array([f"{number:064d}" for number in range(ROWS, ROWS + HELD_OUT)])
    w = approval.holdout_weights(project.approval, ids)
    assert w is not None
    shown = pictures(HELD_OUT, 8, 1, seed=2)
    model = approval.read(project.approval)
    assert model is not None
    labels = np.arange(ROWS, ROWS + HELD_OUT) % 3
    liked = model.predict(views.compute(extractor.extract(shown), shown, labels, of_classes=True))
    assert w == pytest.approx(tilt(liked, labels, report(project)["strength"]))
    for label in range(3):
        assert w[labels == label].mean() == pytest.approx(1)
    assert np.average(heavy(shown), weights=w) > heavy(shown).mean() + 0.15
    assert not set(ids) & set(approval.weights(project.approval)[0])  # type: ignore[index]


def test_the_model_predicts_for_images_nobody_has_seen(project: Project, extractor: Thumbnail, make_params: MakeParams) -> None:
    judge(project, 400, heavy)
    stage.run(project, make_params())
    model = approval.read(project.approval)
    assert model is not None
    assert model.benchmark_id == "id"
    fresh = pictures(200, 8, 1, seed=7)
    p = model.predict(views.compute(extractor.extract(fresh), fresh, None, False))
    assert p[heavy(fresh)].mean() > 0.8 > 0.2 > p[~heavy(fresh)].mean()


def test_the_page_shows_what_was_understood(project: Project, extractor: Thumbnail, make_params: MakeParams) -> None:
    judge(project, 400, heavy)
    stage.run(project, make_params())
    html = page(project)
    for name in ("real_most", "real_least", "samples_most", "samples_least"):
        assert html.count(f'<img class="{name}"') == 1
    assert "It changes how much real images count." in html
    assert html.count("<circle") == html.count('class="whisker"') == len(bins(project))
    for line in bins(project):
        assert 0 <= float(line["low"]) <= float(line["observed"]) <= float(line["high"]) <= 1


def test_too_few_votes_say_so_and_change_nothing(
    project: Project, extractor: Thumbnail, make_params: MakeParams, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(project, 60, heavy)
    stage.run(project, make_params())
    assert capsys.readouterr().out == "approval: 60 votes; it takes 100 credible judgements; nothing changes\n"
    assert approval.read(project.approval) is approval.weights(project.approval) is None
    assert report(project)["changed"] is False
    assert "auc" not in report(project)
    assert "Nothing changes." in page(project)
    assert extractor.seen == 0


def test_votes_at_random_change_nothing(
    project: Project, extractor: Thumbnail, make_params: MakeParams, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(project, 400, at_random)
    stage.run(project, make_params())
    assert approval.read(project.approval) is approval.weights(project.approval) is None
    found = report(project)
    assert found["auc_low"] < 0.5
    assert (found["changed"], found["effective_share"], found["strength"]) == (False, 1.0, 0.0)
    assert "which may be chance; nothing changes" in capsys.readouterr().out
    assert "which may be chance" in page(project)
    assert bins(project)  # that it predicts nothing is to be seen


def test_a_floor_of_one_keeps_the_model_and_no_weights(project: Project, extractor: Thumbnail, make_params: MakeParams) -> None:
    judge(project, 400, heavy)
    stage.run(project, make_params({"feedback.min_effective_share": 1.0}))
    assert approval.read(project.approval) is not None
    assert approval.weights(project.approval) is None
    assert not approval.holdout_file(project.approval).exists()
    assert "lets no row count more than another" in report(project)["why"]


def test_a_model_that_is_not_significant_any_more_leaves_no_weights_behind(
    project: Project, extractor: Thumbnail, make_params: MakeParams
) -> None:
    judge(project, 400, heavy)
    stage.run(project, make_params())
    judge(project, 60, heavy)
    stage.run(project, make_params())
    assert approval.read(project.approval) is approval.weights(project.approval) is None
    assert not approval.holdout_file(project.approval).exists()


def test_without_what_it_reads_it_says_what_to_run(project: Project, make_params: MakeParams) -> None:
    with pytest.raises(InputError, match="not what `curate` writes"):
        stage.run(project, make_params())


def test_before_anybody_has_voted_it_loads_nothing_heavy(project: Project) -> None:
    (project.root / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    write_feedback(project.curated, classes=CLASSES)
    program = (
        "import sys, runpy\n"
        f"sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "try: runpy.run_module('pipelines.approval', run_name='__main__')\n"
        "finally: print(sorted({'keras', 'tensorflow', 'sklearn', 'mlflow'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=project.root, capture_output=True, text=True, check=True)
    assert done.stdout == "approval: no votes yet\n[]\n"
    assert report(project)["votes"] == 0
    assert bins(project) == []
    assert (project.reports / "approval.csv").read_text().strip() == "predicted,observed,low,high,count"
    assert "No votes yet." in page(project)
