"""A plug-in is one file and one line of the catalogue: the examples of CONTRIBUTING.md are added so, and nothing else is."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipelines import catalogue
from pipelines.core import images, reports, rows, shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.settings.schema import Params
from tests.conftest import NO_FEEDBACK, REPOSITORY, project_in
from tests.contracts import pictures, write_rows
from tests.metrics.trials import trial
from tests.test_catalogue import CONTRACTS

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = {path: code for code, path in re.findall(r"```python\n(# (\S+)\n.*?)```", TEXT, re.DOTALL)}
LINES = {table: {name: place} for table, name, place in re.findall(r'`([A-Z]+)`: `"([\w-]+)": "([\w.:-]+)",`', TEXT)}
LIMITS = images.Limits(max_bytes=10**6, max_side=1000, max_pixels=10**6)
SETTINGS: dict[str, Any] = {
    "sources": [{"type": "checkerboards", "count": 240}],
    "image.size": 8,
    "clean.rules": [{"rule": "dark", "least": 60.0}],
    "clean.holdout": 0.3,
    "reference.extractor": "cells",
    "model.family": "linear",
    "model.preset": "small",
    "train.steps": 20,
    "train.batch_size": 16,
    "train.preview_every": 20,
    "evaluate.samples": 40,
    "evaluate.metrics": ["mean_gap"],
    "promotion.rules": [{"metric": "mean_gap", "kind": "better"}],
    "tune.metric": "mean_gap",
}


def place_of(path: str) -> tuple[str, str]:
    """The package and the module that a file of the repository is."""
    package, _, name = path.removesuffix(".py").replace("/", ".").rpartition(".")
    return package, name


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every example as a file in a folder of its own, which its package looks into too, and its line in the catalogue."""
    with pytest.MonkeyPatch.context() as patch:
        for path, code in FILES.items():
            folder = tmp_path_factory.mktemp("added")
            (folder / Path(path).name).write_text(code, encoding="utf-8")
            package, name = place_of(path)
            patch.setattr(importlib.import_module(package), "__path__", [*sys.modules[package].__path__, str(folder)])
            patch.delitem(sys.modules, f"{package}.{name}", raising=False)
        for table, line in LINES.items():
            for name, place in line.items():
                patch.setitem(getattr(catalogue, table), name, place)
        yield
    for path in FILES:
        package, name = place_of(path)
        sys.modules.pop(f"{package}.{name}", None)
        vars(sys.modules[package]).pop(name, None)


@pytest.fixture(scope="module")
def built(added: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Params]:
    """A project through whose stages all of them went: source, rule, extractor, family and metric."""
    from pipelines import approval, clean, curate, evaluate, ingest, reference, train, validate

    project = project_in(tmp_path_factory.mktemp("built"))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project.root)
    project.data.mkdir()
    project.manifest.write_text(NO_FEEDBACK)
    params = make(SETTINGS)
    for stage in (ingest, validate, clean, reference, curate, approval, train, evaluate):
        stage.run(project, params)
    return project, params


def make(changes: dict[str, Any]) -> Params:
    from pipelines.settings.load import check_params, parse_yaml, read_text, set_key

    path = REPOSITORY / "params.yaml"
    document = parse_yaml(read_text(path), str(path))
    for key, value in changes.items():
        set_key(document, key, value)
    return check_params(document, "settings")


def test_there_is_an_example_of_every_kind() -> None:
    assert set(LINES) == set(CONTRACTS) - {"VOTE_SCORES"}
    files = {f"{place.partition(':')[0].replace('.', '/')}.py" for line in LINES.values() for place in line.values()}
    assert set(FILES) == files | {"pipelines/balance.py"}
    assert not any((REPOSITORY / path).exists() for path in FILES)


@pytest.mark.parametrize("table", sorted(LINES))
def test_an_example_keeps_the_contract_of_its_table(table: str, added: None) -> None:
    for name in LINES[table]:
        CONTRACTS[table](name, catalogue.get(getattr(catalogue, table), name))


def test_a_source_and_a_rule(built: tuple[Project, Params]) -> None:
    project, params = built
    assert params.sources[0].model_dump() == {"type": "checkerboards", "count": 240}
    assert shards.classes(project.clean) == ["fine", "coarse"]
    report = reports.read(project.reports, "clean")
    assert report["rows_in"] == 240
    assert 0 < report["refused"]["dark"] < 240
    kept = [rows.load(project.clean, split) for split in ("train", "holdout")]
    assert sum(map(len, kept)) == report["rows_out"] == 240 - report["refused"]["dark"]


def test_an_extractor(built: tuple[Project, Params]) -> None:
    from pipelines.scoring import benchmark

    project, _ = built
    pinned, extractor = benchmark.read(project.reference)
    assert extractor.description == reports.read(project.reports, "reference")["how"] == "means of 4x4 cells"
    assert pinned.holdout.vectors.shape == (len(pinned.labels), 16)


def test_a_family(built: tuple[Project, Params]) -> None:
    from pipelines.registry import sampler

    project, params = built
    assert params.model.numbers == {"latent": 32, "learning_rate": 0.01}
    with pytest.raises(InputError, match="from 4 to 64"):
        make({**SETTINGS, "image.size": 128})
    with pytest.raises(InputError, match="linear cannot use it"):
        make({**SETTINGS, "train.augment.flip": True})
    model = sampler.load(project.model)
    assert model.draw(np.arange(5), None).shape == (5, 8, 8, 1)
    history = (project.reports / "training.csv").read_text()
    assert "moments" in history.splitlines()[0].split(",")


def test_a_metric(built: tuple[Project, Params], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from commands.score import score
    from pipelines.metrics.intervals import Interval
    from pipelines.promotion import gate, rules
    from pipelines.scoring import readings, scores

    project, params = built
    metrics = reports.read(project.reports, "metrics")
    assert metrics["mean_gap_low"] < metrics["mean_gap_high"]
    (declared,) = catalogue.yields("mean_gap")
    html = (project.reports / "evaluation.html").read_text(encoding="utf-8")
    assert "<b>mean gap</b>" in html
    assert f"<td>{declared.meaning}" in html
    assert [row.better for row in readings.rows(metrics) if row.name == "mean_gap"] == ["lower"]
    few = scores.measure(trial(np.zeros((19, 4)), np.zeros((30, 4))), ["mean_gap"])
    assert few.missing == {"mean_gap": "mean_gap needs 20 generated rows or more, came 19"}

    (rule,) = params.promotion.rules
    assert gate.metrics_of([rule]) == ["mean_gap"]
    assert rules.judge_difference(rule, -9.0, Interval(-10.0, -8.0)).verdict == "promote"  # lower is better
    assert rules.judge_difference(rule, 9.0, Interval(8.0, 10.0)).verdict == "reject"
    assert params.tune.metric == "mean_gap"

    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng().standard_normal((60, 4)).astype(np.float32))
    score(project, str(tmp_path / "a.npy"), str(tmp_path / "b.npy"), extractor="none", metrics="mean_gap")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "mean_gap" in line]
    assert "lower" in line


def test_a_taste(added: None) -> None:
    from pipelines.simulation import settings
    from pipelines.tastes.base import RealRows

    taste = settings.load(None, ["taste.name=brightness"]).taste
    bright = np.repeat(np.arange(0, 250, 5, dtype=np.uint8), 64).reshape(-1, 8, 8, 1)
    likes = taste.fit(RealRows(bright, np.zeros(len(bright), np.int32), []))
    assert likes(bright, np.zeros(len(bright), np.int32)).tolist() == [False] * 25 + [True] * 25


def test_a_format_of_imports(added: None, project: Project) -> None:
    from pipelines.feedback.imports import load
    from pipelines.feedback.store.event_store import EventStore

    path = project.root / "votes.bars"
    path.write_text("ann|2026-01-31T12:00:00Z|1|7|1\nben|2026-01-31T12:00:01Z|1|7|-1\n")
    project.data.mkdir(exist_ok=True)
    with EventStore.open(project.database_url) as store:
        summary = load.load(path, store, load.ImportOptions(datetime.now(UTC), LIMITS, project.uploads))
    assert (summary.format, summary.rows, summary.stored, summary.rejected) == ("bars", 2, 2, {})


def test_a_stage(added: None, project: Project) -> None:
    """Its params are a block of the schema, which the example does not add here."""
    from pipelines import balance  # type: ignore[attr-defined]

    write_rows(project.clean, pictures(20, 8, 1), [0] * 19 + [1], ["one", "other"])
    with pytest.raises(InputError, match=r"5\.0% of the rows, expected 10\.0%"):
        balance.run(project, SimpleNamespace(balance=SimpleNamespace(least_share=0.1)))
    balance.run(project, SimpleNamespace(balance=SimpleNamespace(least_share=0.01)))
    assert reports.read(project.reports, "balance") == {"least_share": 0.05}
    (entry,) = re.findall(r"```yaml\n( +balance:\n +cmd.*?)```", TEXT, re.DOTALL)
    stage = YAML(typ="safe").load(entry)["balance"]
    assert "pipelines/balance.py" in stage["deps"]
    assert all((REPOSITORY / dep).exists() for dep in stage["deps"] if dep.startswith("pipelines") and dep not in FILES)
