"""The model card, of reports that are written here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.core import files
from pipelines.core.project import Project
from pipelines.feedback.curated import CuratedSummary
from pipelines.registration import card
from pipelines.registry.versions import DETERMINISTIC
from pipelines.settings.schema import Params
from tests.conftest import MakeParams

METRICS: dict[str, Any] = {
    "fid": 15.0,
    "fid_unbiased": 12.0,
    "fid_low": 9.5,
    "fid_high": 14.0,
    "fid_floor": 3.4567,
    "recall": 0.4,
    "recall_low": 0.3,
    "recall_high": 0.45,
    "class_accuracy": 0.97,
    "class_accuracy_low": 0.95,
    "class_accuracy_high": 0.975,
    "told_apart": 0.968,
    "told_apart_low": 0.955,
    "told_apart_high": 0.98,
    "memorisation": 0.62,
    "memorisation_low": 0.58,
    "memorisation_high": 0.66,
    "not_enough": {"kid": "kid needs 100 rows or more"},
    "benchmark_id": "abc",
    "samples": 1500,
}
CLASSES = """class,class_accuracies,class_accuracies_low,class_accuracies_high
zero,0.99,0.97,1.0
a|b <i>,0.7,0.6,0.8
none,,,
"""


@pytest.fixture
def params(make_params: MakeParams) -> Params:
    return make_params({"sources": [{"type": "digits"}, {"type": "folder", "path": "mine"}]})


@pytest.fixture
def reported(project: Project) -> Project:
    """A project with the stage reports of a run."""
    reports = {
        "metrics": METRICS,
        "train": {"weights": 1000, "rows": 1000, "step": 500, "batch_size": 64},
        "ingest": {"sources": {"digits-0": 1797, "folder-1": 3}},
        "clean": {
            "rows_in": 1800,
            "train": 1400,
            "holdout": 395,
            "classes": ["zero", "a|b <i>"],
            "refused": {"near_copy": 5, "blank": 0},
        },
        "validate": {"failed": [{"expected": "brightness 2 to 253", "observed": "1"}]},
        "feedback": {"raters": 7, "rows_generated": 100, "rows_uploaded": 4},
        "reference": {"how": "a classifier"},
    }
    for name, content in reports.items():
        files.write(project.reports / f"{name}.json", json.dumps(content))
    files.write(project.reports / "classes.csv", CLASSES)
    return project


def test_the_card_says_what_the_run_has_found(reported: Project, params: Params) -> None:
    text = card.write(reported, params, CuratedSummary(["x"], 90, 2), {"genloop.parent": "4"})
    for words in (
        "# genloop-digits",
        "16x16 grey images of 2 classes",
        "went on from version 4, 500 steps of 64 images",
        "| digits-0 | 1,797 | CC BY 4.0",
        "| folder-1 | 3 | as its owner says",
        "Of 1,800 images 5 were refused (5 near copy); 1,400 are trained on, 395 are held out",
        "90 events of 7 raters: 4 images that people sent",
        "**Share of generated rows**: 10.0%, 100 of 1,000 rows",
        "The data is not as expected: brightness 2 to 253; came: 1",
        "| fid_unbiased | 12 | 9.5 to 14 |  | lower |",
        "| fid as other libraries print it | 15 |  | 3.46 | lower |",
        "| memorisation | 0.62 | 0.58 to 0.66 | 0.5 | near 0.5 |",
        "\n- Some may be copies: 62 of 100 images (58 to 66)",
        "Not known: kid needs 100 rows or more",
        "62 of 100 of its images (58 to 66) are nearer to a training image",
        "| zero | 0.99 (0.97 to 1) |",
        "| none |  |",
    ):
        assert words in text, words


def test_a_class_that_fails_is_named_and_its_name_does_no_harm(reported: Project, params: Params) -> None:
    text = card.write(reported, params, CuratedSummary([], 0, 0), {})
    assert r"The class “a\|b \<i\>” comes out worse than the average: a classifier takes 70 of 100 of its images" in text
    assert "Class zero" not in text
    assert "<i>" not in text.replace(r"\<i\>", "")


def test_the_card_of_a_run_that_said_little_is_a_card_all_the_same(project: Project, params: Params) -> None:
    files.write(project.reports / "metrics.json", json.dumps({"benchmark_id": "abc", "samples": 10}))
    text = card.write(project, params, CuratedSummary([], 0, 0), {})
    assert "None that these figures show for sure" in text
    assert "By class" not in text
    assert "was not measured" in text


def test_the_description_is_whole_sections_and_no_longer_than_mlflow_keeps(reported: Project, params: Params) -> None:
    lines = "".join(f"class {number},0.9,0.8,1.0\n" for number in range(1000))
    files.write(reported.reports / "classes.csv", f"{CLASSES.splitlines()[0]}\n{lines}")
    text = card.write(reported, params, CuratedSummary([], 0, 0), {})
    short = card.shorten(text)
    assert len(text) > card.LIMIT >= len(short)
    assert short.endswith("an artifact of the version's run.")
    assert "## Nearest training neighbours" in short
    assert "class 1" not in short
    assert "![" not in short


def test_a_short_card_is_its_own_description(reported: Project, params: Params) -> None:
    text = card.write(reported, params, CuratedSummary([], 0, 0), {})
    assert "By class" in card.shorten(text)
    assert "artifact of the version's run" not in card.shorten(text)


def test_an_external_model_s_card_names_what_it_is_made_of(reported: Project, params: Params) -> None:
    manifest = {"card": {"base": "stable-diffusion <v1>", "licence": "openrail", "adapter": None}}
    external = {"manifest": manifest, "content": "ab12"}
    text = card.write(reported, params, CuratedSummary([], 0, 0), {DETERMINISTIC: "false"}, external)
    assert "sha256 of its content `ab12`" in text
    assert "**Training**: from scratch" in text
    sampler = {"manifest": {**manifest, "train": None}, "content": "ab12"}
    only = card.write(reported, params, CuratedSummary([], 0, 0), {}, sampler)
    assert "**Training**: none by Genloop, which has only its sampler\n- **Generation**" in only
    assert "- **Base**, as its owner says: stable-diffusion \\<v1\\>\n- **Licence**, as its owner says: openrail\n" in text
    assert "- **Not deterministic**: the same seed may give another picture each time" in text
    assert "Adapter" not in text
    assert "Not deterministic" not in card.write(reported, params, CuratedSummary([], 0, 0), {})
