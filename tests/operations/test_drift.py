"""Drift of what comes in, by the pinned benchmark: uploads that are rows and that wait, and rows that sources bring."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from operations import drift
from pipelines.core import images, png, shards
from pipelines.core.images import Limits
from pipelines.core.project import Project
from pipelines.features.base import Features
from pipelines.feedback import curated
from pipelines.feedback.events import Event, parse
from pipelines.feedback.sealed import seal, uploads
from pipelines.feedback.store.event_store import EventStore
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import benchmark, views
from pipelines.scoring import drift as drifts
from pipelines.scoring.drift import Drift
from pipelines.settings.schema import Params
from tests.conftest import REPOSITORY, MakeParams
from tests.contracts import write_feedback

Digits = tuple[np.ndarray, np.ndarray]  # images and labels
CLASSES = [str(number) for number in range(10)]
LIMITS = Limits(max_bytes=10**6, max_side=4096, max_pixels=10**7)


class CellsExtractor:
    """16 features, without Keras. loaded: how often it was asked for."""

    of_classes, loaded = False, 0

    def extract(self, images: np.ndarray) -> Features:
        return Features(16 * views.cells(images).astype(np.float32), None)


@pytest.fixture(scope="module")
def digits() -> Digits:
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.images))  # they lie in the order of their writers, who differ
    return np.clip(found.images[order] * 16, 0, 255).astype(np.uint8)[..., None], found.target[order].astype(np.int32)


@pytest.fixture
def params(make_params: MakeParams) -> Params:
    return make_params({"image.size": 8})


def write_clean(project: Project, pixels: np.ndarray, labels: Sequence[int]) -> None:
    shutil.rmtree(project.clean, ignore_errors=True)
    with shards.ShardWriter(project.clean, classes=CLASSES) as writer:
        for image, label in zip(pixels, labels, strict=True):
            row_id = images.row_id(image)
            split = "holdout" if int(row_id[:13], 16) < 0.3 * 16**13 else "train"
            writer.add(row(image, int(label), row_id, "real", split))


def row(image: np.ndarray, label: int, row_id: str, origin: str, split: str = "train") -> dict[str, object]:
    about = {"image": {"bytes": png.encode(image), "path": None}, "label": label, "row_id": row_id, "source": "digits-0"}
    return {**about, "origin": origin, "generation": 0, "weight": 1.0, "events": [], "split": split}


def pin(project: Project, params: Params) -> None:
    """As `reference` does, with an extractor that has learned from half of the training rows."""
    rows = [row for batch in shards.read(project.clean) for row in batch.to_pylist()]
    vectors = CellsExtractor().extract(np.stack([images.decode_pixels(row["image"]["bytes"]) for row in rows])).vectors
    held_out = np.array([row["split"] == "holdout" for row in rows])
    ids, labels = np.array([row["row_id"] for row in rows]), np.array([row["label"] for row in rows], np.int32)
    learned = np.array([int(one[-1], 16) % 2 == 0 for one in ids[~held_out]])
    form = {**params.image.model_dump(), "fit": "crop", "filter": "bicubic", "dtype": "float32"}
    project.reference.mkdir(parents=True, exist_ok=True)
    pinned = Benchmark(
        benchmark.benchmark_id(project.reference, ids[held_out], "random", form),
        CLASSES,
        Features(vectors[held_out], None),
        labels[held_out],
        Features(np.where(learned[:, None], 999, vectors[~held_out]), None),  # what it has learned from must not count
        False,
        learned,
        ids=ids[held_out],
        train_ids=ids[~held_out],
    )
    benchmark.write(project.reference, pinned, "random", form)


@pytest.fixture
def pinned(project: Project, params: Params, digits: Digits, monkeypatch: pytest.MonkeyPatch) -> type[CellsExtractor]:
    """The benchmark of the first 1,000 digits."""

    class Counted(CellsExtractor):
        @classmethod
        def load(cls, folder: Path) -> CellsExtractor:
            cls.loaded += 1
            return cls()

    monkeypatch.setattr(drift.backend, "load", lambda: None)
    monkeypatch.setattr(benchmark, "read_extractor", Counted.load)
    pixels, labels = digits
    write_clean(project, pixels[:1000], labels[:1000])
    pin(project, params)
    return Counted


def write_uploads(project: Project, pixels: np.ndarray, labels: Iterable[int], batches: Sequence[str] = ()) -> None:
    """data/curated with these rows, as `curate` makes it of these batches."""
    shutil.rmtree(project.curated, ignore_errors=True)
    with shards.ShardWriter(project.curated, classes=CLASSES) as writer:
        writer.add(row(255 - pixels[0], 0, "f" * 64, "generated"))  # what the model drew is no upload
        for image, label in zip(pixels, labels, strict=True):
            writer.add(row(image, int(label), images.row_id(image), "upload"))
    write_feedback(project.curated, classes=CLASSES)
    curated.write_summary(project.curated, curated.CuratedSummary(list(batches), len(pixels), 0))


def upload(project: Project, number: int, image: np.ndarray, label: int | None) -> Event:
    """An upload of a larger picture, as people send them."""
    content = io.BytesIO()
    Image.fromarray(image[..., 0]).resize((32, 32), Image.Resampling.NEAREST).save(content, "PNG")
    digest = uploads.keep(project.uploads, content.getvalue(), LIMITS)
    at = f"2026-01-31T12:{number // 60:02}:{number % 60:02}Z"
    about = {"id": f"u{number}", "type": "upload", "rater": "ann", "at": at, "image": digest}
    return parse(about if label is None else {**about, "label": label})


def measure(project: Project, params: Params) -> dict[str, Drift]:
    report = drift.measure(project, params)
    assert report is not None
    assert report == drifts.read(project)
    return dict(report.kinds)


def test_before_the_first_run_nothing_is_due(project: Project, params: Params) -> None:
    assert not drift.is_due(project)
    assert drift.measure(project, params) is None
    assert not project.logs.exists()


def test_uploads_like_the_data_are_no_drift_and_inverted_ones_are(
    project: Project, params: Params, pinned: type[CellsExtractor], digits: Digits
) -> None:
    pixels, labels = digits
    write_uploads(project, pixels[1000:1100], labels[1000:1100])
    found = measure(project, params)["upload"]
    assert (found.rows, found.compared, found.needed, found.present) == (100, 100, 32, False)
    assert found.balance is not None
    assert found.balance > 0.3
    assert not found.shifted
    write_uploads(project, 255 - pixels[1000:1100], np.zeros(100, int))
    found = measure(project, params)["upload"]
    assert found.present
    assert found.balance == 0
    assert found.shifted


def test_uploads_that_wait_count_whether_sealed_or_not(
    project: Project, params: Params, pinned: type[CellsExtractor], digits: Digits
) -> None:
    pixels, labels = digits
    write_uploads(project, pixels[1000:1020], labels[1000:1020], ["done"])
    with EventStore.open(project.database_url) as store:
        store.add([upload(project, number, 255 - pixels[number], 3) for number in range(1020, 1040)])
        seal.fold(store, project.feedback, classes=["3", "2", "1", "0"])  # another order: label 3 was called "0" then
        store.add([upload(project, number, 255 - pixels[number], 4) for number in range(1040, 1060)])
        store.add([upload(project, 2000, 255 - pixels[1040], 4)])  # the same picture again
        store.add([upload(project, 2001, pixels[5], None)])
    (project.uploads / drift.waiting_uploads(project)[0].image).unlink()  # lost: the others count all the same
    found = measure(project, params)["upload"]
    assert (found.rows, found.compared) == (61, 60)
    assert found.present
    shares = drift.find_uploads(project, params, CLASSES).labels[20:]
    assert shares.tolist() == [0] * 20 + [4] * 20 + [-1]


def test_with_too_few_uploads_the_extractor_is_not_loaded(
    project: Project, params: Params, pinned: type[CellsExtractor], digits: Digits
) -> None:
    pixels, labels = digits
    assert measure(project, params)["upload"].why == "none yet"
    write_uploads(project, pixels[1000:1031], labels[1000:1031])
    found = measure(project, params)["upload"]
    assert (found.why, found.distance) == ("too few to compare, 31 of 32", None)
    assert found.balance is not None
    assert pinned.loaded == 0


def test_the_same_uploads_are_not_compared_again(
    project: Project, params: Params, pinned: type[CellsExtractor], digits: Digits
) -> None:
    pixels, labels = digits
    write_uploads(project, pixels[1000:1060], labels[1000:1060])
    assert drift.is_due(project)
    first = measure(project, params)
    assert not drift.is_due(project)
    assert measure(project, params) == first
    assert pinned.loaded == 1
    write_uploads(project, pixels[1000:1061], labels[1000:1061])
    assert drift.is_due(project)
    assert measure(project, params)["upload"].compared == 61
    assert pinned.loaded == 2


def test_of_many_uploads_the_newest_are_compared(
    project: Project,
    params: Params,
    pinned: type[CellsExtractor],
    digits: Digits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drift, "NEWEST", 40)
    monkeypatch.setattr(drift, "CHUNK_BYTES", 64 * 7)  # so that there are several chunks
    pixels, labels = digits
    changed = np.concatenate([pixels[1000:1100], 255 - pixels[1100:1140]])
    write_uploads(project, changed, labels[1000:1140])
    found = measure(project, params)["upload"]
    assert (found.rows, found.compared, found.present) == (140, 40, True)


def test_new_rows_are_compared_with_those_that_were_there(
    project: Project, params: Params, pinned: type[CellsExtractor], digits: Digits
) -> None:
    pixels, labels = digits

    def grow(more: np.ndarray, count: int) -> Drift:
        write_clean(project, np.concatenate([pixels[:1000], more]), np.concatenate([labels[:1000], labels[:count]]))
        pin(project, params)
        assert drift.is_due(project)
        return measure(project, params)["ingest"]

    first = measure(project, params)["ingest"]
    assert (first.distance, first.rows) == (None, 0)
    few = grow(pixels[1000:1020], 20)
    assert few.rows == 20
    assert few.why.startswith("too few rows to compare, ")
    alike = grow(pixels[1000:1300], 300)  # with those that were too few
    assert (alike.rows, alike.present) == (300, False)
    assert 32 <= alike.compared < 300  # only those that the extractor has not learned from
    later = grow(np.concatenate([pixels[1000:1300], 255 - pixels[1300:1310]]), 310)
    assert later == Drift(**{**vars(alike), "waiting": 10})  # what is known stays
    other = grow(np.concatenate([pixels[1000:1300], 255 - pixels[1300:1600]]), 600)
    assert (other.rows, other.waiting, other.present) == (300, 0, True)
    write_clean(project, 255 - pixels[:900], labels[:900])
    pin(project, params)
    assert "the whole data set is another one" in measure(project, params)["ingest"].why


def test_what_cannot_be_compared_is_said_and_the_rest_is_measured(
    project: Project,
    params: Params,
    make_params: MakeParams,
    pinned: type[CellsExtractor],
    digits: Digits,
) -> None:
    pixels, labels = digits
    write_uploads(project, pixels[1000:1060], labels[1000:1060])
    first = measure(project, params)
    write_uploads(project, pixels[1000:1070], labels[1000:1070])
    lines: list[str] = []
    report = drift.measure(project, make_params({"image.size": 16}), lines.append)
    assert report is not None
    assert report.kinds["upload"] == first["upload"]
    assert lines[0].startswith("uploads: not compared: the benchmark is of images of another size")
    assert lines[1].startswith("newly ingested rows: ")
    assert drift.is_due(project)  # the next run tries again


def test_damaged_notes_of_known_rows_begin_anew(project: Project, params: Params, pinned: type[CellsExtractor]) -> None:
    measure(project, params)
    drift.known_file(project).write_bytes(b"damaged")
    assert "from now on" in measure(project, params)["ingest"].why


@pytest.mark.slow
def test_a_process_of_its_own_measures_with_the_extractor_that_reference_makes(project: Project, digits: Digits) -> None:
    pixels, labels = digits
    text = (REPOSITORY / "params.yaml").read_text().replace("size: 16 ", "size: 8 ")
    (project.root / "params.yaml").write_text(text)
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    write_clean(project, pixels[:1300], labels[:1300])

    def run(module: str) -> str:
        environment = {**project.environment, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", module]
        done = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "there is no benchmark yet" in run("operations.measurements")
    run("pipelines.reference")
    write_uploads(project, pixels[1300:1500], labels[1300:1500])
    assert "measure: uploads look like the reference data" in run("operations.measurements")
    write_uploads(project, 255 - pixels[1300:1500], labels[1300:1500])
    assert "measure: uploads differ from the reference data" in run("operations.measurements")
