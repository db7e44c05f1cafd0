"""curate: each image comes out or is rejected; the same whatever the order; quick where there is no feedback."""

from __future__ import annotations

import base64
import hashlib
import random
import resource
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from pipelines import curate
from pipelines.core import images, png, shards
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.feedback import curated
from tests.conftest import REPOSITORY, MakeParams
from tests.contracts import pictures
from tests.curation.data import Curation

PEOPLE = [f"person-{number}" for number in range(7)]


@pytest.fixture
def curation(project: Project, make_params: MakeParams) -> Curation:
    return Curation(project, make_params, ["a", "b"])


def chatter(curation: Curation, seed: int, count: int = 250) -> None:
    """All that people may say, good and bad, at random."""
    chance = random.Random(seed)
    new = iter(curation.new(500))
    samples = [
        curation.feedback.sample(
            chance.choice([*[next(new)] * 8, curation.pixels[chance.randrange(240)], None]),
            label=chance.choice([*[0, 1] * 5, None, 7]),
            generation=chance.choice([1, 1, 1, 2, 9]),
        )
        for _ in range(30)
    ]
    known = [*curation.ids, "e" * 64]
    for _ in range(count):
        rater = chance.choice(PEOPLE)
        match chance.choice([*["vote"] * 16, *["choice", "upload", "label"] * 2, "report", "report row"]):
            case "vote":
                curation.feedback.vote(rater, chance.choice(samples), chance.choice([1, 1, 1, 1, -1]))
            case "choice":
                curation.feedback.choose(rater, *chance.sample(samples, 2))
            case "upload":
                blank = np.zeros((9, 9, 1), np.uint8)
                content = chance.choice([next(new), curation.pixels[chance.randrange(240)], b"no image", blank])
                curation.feedback.upload(rater, content, chance.choice([0, 1, None, 7]))
            case "label":
                curation.feedback.correct(rater, chance.choice(known), chance.choice([0, 1, 7]))
            case "report":
                curation.feedback.report(rater, chance.choice(samples))
            case _:
                curation.feedback.report(rater, row=chance.choice(known))


def everything(curation: Curation) -> dict[str, str]:
    """sha256 of all that the stage wrote, but for the names of the batches and the order of the quarantine."""
    written = [
        *curation.project.curated.iterdir(),
        *(curation.project.reports / name for name in ("feedback.json", "raters.csv", "feedback.html")),
    ]
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in written if file.name != "about.json"}
    return {**found, "quarantine": repr(sorted(curation.quarantine().items()))}


def test_without_feedback_there_are_empty_tables(curation: Curation, make_params: MakeParams, capsys: Any) -> None:
    curation.project.facts.rename(curation.project.root / "elsewhere")  # not even looked at
    curate.run(curation.project, make_params())
    assert capsys.readouterr().out == "curate: no feedback yet\n"
    assert curation.rows() == []
    assert shards.classes(curation.project.curated) == ["a", "b"]
    assert [curation.table(name) for name in curated.SCHEMAS] == [[]] * 5
    assert curated.read_summary(curation.project.curated) == curated.CuratedSummary([], 0, 0)
    assert curation.quarantine() == {}
    assert curation.raters() == {}
    assert "There is no feedback yet" in (curation.project.reports / "feedback.html").read_text()


def test_nothing_heavy_is_loaded(curation: Curation) -> None:
    chatter(curation, 0)
    curation.feedback.seal(curation.project)
    shutil.copy(REPOSITORY / "params.yaml", curation.project.root)
    (curation.project.root / "dvc.yaml").write_text("stages: {}\n")
    program = (
        "import sys, pathlib; from pipelines import curate; from pipelines.core.project import Project\n"
        "from pipelines.settings.load import load_params\n"
        "project = Project.find(pathlib.Path(sys.argv[1])); curate.run(project, load_params(project.params_file))\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'prefect', 'dvc', 'great_expectations', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    env = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program, str(curation.project.root)], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("seed", range(6))
def test_every_picture_comes_out_or_is_refused_and_every_bound_holds(curation: Curation, seed: int) -> None:
    chatter(curation, seed)
    report = curation.curate({"feedback.max_rater_share": 0.02, "feedback.min_liked": 0.6})
    assert report["rows_in"] == report["samples_liked"] + report["uploads"]
    assert report["rows_in"] == report["rows_out"] + sum(report["refused"].values())
    assert report["rows_out"] == report["rows_generated"] + report["rows_uploaded"] == len(curation.rows())
    uploads = [row for row in curation.rows() if row["origin"] == "upload"]
    assert curation.quarantine().total() == report["uploads"] - len(uploads)

    taken = {row["row_id"] for row in curation.rows()}
    assert len(taken) == len(curation.rows())
    assert not taken & {*curation.ids, *(row["row_id"] for row in curation.table("reported"))}
    by_event = {event.id: event for event in curation.feedback.events}
    for rater in PEOPLE:  # 4 of 200 rows
        assert sum({by_event[event].rater for event in row["events"]} == {rater} for row in uploads) <= 4
        backed = [{by_event[event].rater for event in change["events"]} for change in curation.table("changes")]
        assert sum(raters == {rater} for raters in backed) <= 8  # labels and reports
    assert not set(curation.changes()) & set(curation.ids[200:])
    trusted = {vote["event"] for name in ("votes", "choices") for vote in curation.table(name)}
    raters = curation.raters()
    assert report["votes_set_aside"] == sum(
        int(count)
        for rater in raters.values()
        for reason, count in (part.split(": ") for part in rater["set_aside"].split("; ") if part)
        if ", " not in reason
    )
    assert report["votes_set_aside"] == sum(int(rater["votes_set_aside"]) for rater in raters.values())
    assert report["votes"] - report["votes_set_aside"] == len(curation.table("votes"))
    assert trusted <= set(by_event)


def test_the_order_of_files_and_events_does_not_matter(curation: Curation) -> None:
    chatter(curation, 3)
    curation.curate()
    before = everything(curation)
    for file in curation.project.feedback.iterdir():
        file.unlink()
    curation.project.manifest.unlink()
    random.Random(0).shuffle(curation.feedback.events)
    curation.feedback.events += curation.feedback.events[:9]  # sent twice, by whatever mistake: once is what counts
    curation.curate(batches=("z", "b", "m"))
    assert everything(curation) == before


def test_about_says_what_it_is_made_of(curation: Curation) -> None:
    curation.feedback.like(curation.feedback.sample(curation.new(1)[0], generation=4), "ann", "bob", "eve")
    curation.curate()
    assert curated.read_summary(curation.project.curated) == curated.CuratedSummary(["a"], 3, 4)


def test_no_rater_is_named_outside_of_the_reports(curation: Curation) -> None:
    chatter(curation, 1)
    curation.curate()
    for file in [*curation.project.curated.rglob("*"), *(curation.project.quarantine / "feedback").rglob("*")]:
        if file.is_file():
            assert b"rater" not in file.read_bytes()
    for name in curated.SCHEMAS:
        assert not any(person in repr(curation.table(name)) for person in PEOPLE)


def test_files_that_are_not_there_are_asked_for(curation: Curation, make_params: MakeParams) -> None:
    chatter(curation, 1)
    curation.feedback.seal(curation.project)
    (curation.project.feedback / "images-a.parquet").unlink()
    with pytest.raises(GenloopError, match="dvc pull"):
        curate.run(curation.project, make_params())


def test_the_page_opens_without_a_network_and_shows_no_reported_picture(curation: Curation) -> None:
    good, bad = curation.new(2)
    liked, reported = curation.feedback.sample(good), curation.feedback.sample(bad)
    for sample in (liked, reported):
        curation.feedback.like(sample, "ann", "bob", "eve")
    curation.feedback.report("ann", reported)
    curation.curate()
    page = (curation.project.reports / "feedback.html").read_text(encoding="utf-8")
    assert "http://" not in page
    assert "https://" not in page
    assert base64.b64encode(png.encode(good)).decode() in page
    assert base64.b64encode(png.encode(bad)).decode() not in page
    assert "Flagged images are not shown." in page


@pytest.mark.slow
def test_ten_thousand_votes_beside_sixty_thousand_rows_take_seconds(project: Project, make_params: MakeParams) -> None:
    curation = Curation(project, make_params, ["a", "b"])
    pixels = pictures(60_000, 16, 1, seed=1)
    curation.write_rows(
        [np.asarray(images.from_array(image).resize((20, 20)))[:, :, None] for image in pixels]
    )  # no facts of these
    chance = random.Random(0)
    samples = [curation.feedback.sample(image, label=number % 2) for number, image in enumerate(curation.new(2000))]
    for _ in range(10_000):
        curation.feedback.vote(f"r{chance.randrange(60)}", chance.choice(samples), chance.choice([1, 1, -1]))
    curation.feedback.seal(curation.project)
    before = spent()
    curate.run(project, make_params({"image.size": 20}))
    assert spent() - before < 15  # seconds, of all processes


def spent() -> float:
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
