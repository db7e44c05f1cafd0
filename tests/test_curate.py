"""curate: what goes in comes out or is refused; the same whatever the order; quick where nobody has said anything."""

from __future__ import annotations

import base64
import hashlib
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import curate
from pipelines.core import images, paths, shards
from pipelines.core.errors import GenloopError
from pipelines.feedback import curated
from tests.conftest import REPOSITORY, MakeParams
from tests.contracts import pictures
from tests.curation.data import Project, changes, quarantine, raters, rows, table

PEOPLE = [f"person-{number}" for number in range(7)]


@pytest.fixture
def there(project: Path, make_params: MakeParams) -> Project:
    return Project(make_params, ["a", "b"])


def chatter(there: Project, seed: int, count: int = 250) -> None:
    """All that people may say, good and bad, at random."""
    chance = random.Random(seed)
    new = iter(there.new(500))
    samples = [
        there.said.sample(
            chance.choice([*[next(new)] * 8, there.pixels[chance.randrange(240)], None]),
            label=chance.choice([*[0, 1] * 5, None, 7]),
            generation=chance.choice([1, 1, 1, 2, 9]),
        )
        for _ in range(30)
    ]
    known = [*there.ids, "e" * 64]
    for _ in range(count):
        rater = chance.choice(PEOPLE)
        match chance.choice([*["vote"] * 16, *["choice", "upload", "label"] * 2, "report", "report row"]):
            case "vote":
                there.said.vote(rater, chance.choice(samples), chance.choice([1, 1, 1, 1, -1]))
            case "choice":
                there.said.choose(rater, *chance.sample(samples, 2))
            case "upload":
                blank = np.zeros((9, 9, 1), np.uint8)
                content = chance.choice([next(new), there.pixels[chance.randrange(240)], b"no image", blank])
                there.said.upload(rater, content, chance.choice([0, 1, None, 7]))
            case "label":
                there.said.correct(rater, chance.choice(known), chance.choice([0, 1, 7]))
            case "report":
                there.said.report(rater, chance.choice(samples))
            case _:
                there.said.report(rater, row=chance.choice(known))


def everything() -> dict[str, str]:
    """sha256 of all that the stage wrote, but for the names of the batches and the order of the quarantine."""
    written = [*paths.CURATED.iterdir(), *(paths.REPORTS / name for name in ("feedback.json", "raters.csv", "feedback.html"))]
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in written if file.name != "about.json"}
    return {**found, "quarantine": repr(sorted(quarantine().items()))}


def test_nobody_has_said_anything(there: Project, make_params: MakeParams, capsys: Any) -> None:
    paths.FACTS.rename("elsewhere")  # not even looked at
    curate.run(make_params())
    assert capsys.readouterr().out == "curate: no feedback yet\n"
    assert rows() == []
    assert shards.classes(paths.CURATED) == ["a", "b"]
    assert [table(name) for name in curated.SCHEMAS] == [[]] * 5
    assert curated.read_about(paths.CURATED) == curated.About([], 0, 0)
    assert quarantine() == {}
    assert raters() == {}
    assert "Nobody has said anything yet" in (paths.REPORTS / "feedback.html").read_text()


def test_nothing_heavy_is_loaded(there: Project) -> None:
    chatter(there, 0)
    there.said.seal()
    shutil.copy(REPOSITORY / "params.yaml", ".")
    program = (
        "import sys; from pipelines import curate; from pipelines.settings.load import load_params; curate.run(load_params())\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'prefect', 'dvc', 'great_expectations', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    env = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("seed", range(6))
def test_every_picture_comes_out_or_is_refused_and_every_bound_holds(there: Project, seed: int) -> None:
    chatter(there, seed)
    report = there.curate({"feedback.max_rater_share": 0.02, "feedback.min_liked": 0.6})
    assert report["rows_in"] == report["samples_liked"] + report["uploads"]
    assert report["rows_in"] == report["rows_out"] + sum(report["refused"].values())
    assert report["rows_out"] == report["rows_generated"] + report["rows_uploaded"] == len(rows())
    uploads = [row for row in rows() if row["origin"] == "upload"]
    assert quarantine().total() == report["uploads"] - len(uploads)

    taken = {row["row_id"] for row in rows()}
    assert len(taken) == len(rows())
    assert not taken & {*there.ids, *(row["row_id"] for row in table("reported"))}
    by_event = {event.id: event for event in there.said.events}
    for rater in PEOPLE:  # 4 of 200 rows
        assert sum({by_event[event].rater for event in row["events"]} == {rater} for row in uploads) <= 4
        backed = [{by_event[event].rater for event in change["events"]} for change in table("changes")]
        assert sum(raters == {rater} for raters in backed) <= 8  # labels and reports
    assert not set(changes()) & set(there.ids[200:])
    trusted = {vote["event"] for name in ("votes", "choices") for vote in table(name)}
    told = raters()
    assert report["votes_set_aside"] == sum(
        int(count)
        for rater in told.values()
        for reason, count in (part.split(": ") for part in rater["set_aside"].split("; ") if part)
        if ", " not in reason
    )
    assert report["votes"] - report["votes_set_aside"] == len(table("votes"))
    assert trusted <= set(by_event)


def test_the_order_of_files_and_events_does_not_matter(there: Project) -> None:
    chatter(there, 3)
    there.curate()
    before = everything()
    for file in paths.FEEDBACK.iterdir():
        file.unlink()
    paths.MANIFEST.unlink()
    random.Random(0).shuffle(there.said.events)
    there.said.events += there.said.events[:9]  # sent twice, by whatever mistake: once is what counts
    there.curate(batches=("z", "b", "m"))
    assert everything() == before


def test_about_says_what_it_is_made_of(there: Project) -> None:
    there.said.like(there.said.sample(there.new(1)[0], generation=4), "ann", "bob", "eve")
    there.curate()
    assert curated.read_about(paths.CURATED) == curated.About(["a"], 3, 4)


def test_no_rater_is_named_outside_of_the_reports(there: Project) -> None:
    chatter(there, 1)
    there.curate()
    for file in [*paths.CURATED.rglob("*"), *(paths.QUARANTINE / "feedback").rglob("*")]:
        if file.is_file():
            assert b"rater" not in file.read_bytes()
    for name in curated.SCHEMAS:
        assert not any(person in repr(table(name)) for person in PEOPLE)


def test_files_that_are_not_there_are_asked_for(there: Project, make_params: MakeParams) -> None:
    chatter(there, 1)
    there.said.seal()
    (paths.FEEDBACK / "images-a.parquet").unlink()
    with pytest.raises(GenloopError, match="dvc pull"):
        curate.run(make_params())


def test_the_page_opens_without_a_network_and_shows_no_reported_picture(there: Project) -> None:
    good, bad = there.new(2)
    liked, reported = there.said.sample(good), there.said.sample(bad)
    for sample in (liked, reported):
        there.said.like(sample, "ann", "bob", "eve")
    there.said.report("ann", reported)
    there.curate()
    page = (paths.REPORTS / "feedback.html").read_text(encoding="utf-8")
    assert "http://" not in page
    assert "https://" not in page
    assert base64.b64encode(images.encode_png(good)).decode() in page
    assert base64.b64encode(images.encode_png(bad)).decode() not in page
    assert "Reported pictures are not shown." in page


@pytest.mark.slow
def test_ten_thousand_votes_beside_sixty_thousand_rows_take_seconds(project: Path, make_params: MakeParams) -> None:
    there = Project(make_params, ["a", "b"])
    pixels = pictures(60_000, 16, 1, seed=1)
    there.write_rows(
        [np.asarray(images.from_array(image).resize((20, 20)))[:, :, None] for image in pixels]
    )  # no facts of these
    chance = random.Random(0)
    samples = [there.said.sample(image, label=number % 2) for number, image in enumerate(there.new(2000))]
    for _ in range(10_000):
        there.said.vote(f"r{chance.randrange(60)}", chance.choice(samples), chance.choice([1, 1, -1]))
    there.said.seal()
    before = spent()
    curate.run(make_params({"image.size": 20}))
    assert spent() - before < 15  # seconds, of all processes


def spent() -> float:
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
