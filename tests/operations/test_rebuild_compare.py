"""How alike two makings of a version are, on made-up files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from operations.rebuild import compare
from pipelines.core.errors import InputError
from pipelines.metrics.intervals import Estimate
from pipelines.scoring.scores import Scores


def test_how_long_it_took_is_no_difference() -> None:
    before = b'{"step": 9, "loss": 0.5, "seconds": 3.1, "training_seconds": 2, "log": "a", "versions": {"keras": "3.15"}}'
    now = b'{"step": 9, "loss": 0.5, "seconds": 9.9, "training_seconds": 8, "log": "b", "versions": {"keras": "3.16"}}'
    assert compare.compare_reports("train.json", before, now) == ("bit-equal", [])
    assert compare.compare_reports("t.csv", b"step,images_per_second\n1,900.5\n", b"step,images_per_second\n1,100\n") == (
        "bit-equal",
        [],
    )


@pytest.mark.parametrize(
    ("before", "now", "word"),
    [
        (b'{"accuracy": 0.985}', b'{"accuracy": 0.984}', "metric-equal"),
        (b'{"accuracy": 0.985}', b'{"accuracy": 0.9}', "different"),
        (b'{"accuracy": 0.985}', b'{"accuracy": NaN}', "different"),
        (b'{"accuracy": 0.985}', b'{"accuracy": null}', "different"),
        (b'{"accuracy": 0.985}', b"{}", "different"),
        (b'{"rows": [1000, 7]}', b'{"rows": [1001, 7]}', "different"),  # counts have no tolerance
        (b'{"id": "a"}', b'{"id": "b"}', "different"),
    ],
)
def test_a_report_is_compared_by_its_figures(before: bytes, now: bytes, word: str) -> None:
    found, keys = compare.compare_reports("some.json", before, now)
    assert found == word
    assert len(keys) == 1


def test_the_worst_word_is_the_word_of_all() -> None:
    assert compare.worst_level([]) == "bit-equal"
    assert compare.worst_level(["bit-equal", "metric-equal", "bit-equal"]) == "metric-equal"
    assert compare.worst_level(["different", "metric-equal"]) == "different"


def model(folder: Path, numbers: list[float], about: str = "{}") -> Path:
    folder.mkdir()
    save_file({"kernel": np.array(numbers, np.float32)}, folder / "weights.safetensors")
    (folder / "model.json").write_text(about)
    return folder


def test_weights_are_equal_when_every_bit_is(tmp_path: Path) -> None:
    first = model(tmp_path / "a", [1, 2])
    assert compare.compare_weights(first, model(tmp_path / "b", [1, 2])) == compare.WeightsMatch(True, 0.0)
    assert compare.compare_weights(first, model(tmp_path / "c", [1, 2.5])) == compare.WeightsMatch(False, 0.5)
    assert compare.compare_weights(first, model(tmp_path / "d", [1, 2], about="[]")) == compare.WeightsMatch(False, 0.0)
    assert compare.compare_weights(first, model(tmp_path / "e", [1, 2, 3])) == compare.WeightsMatch(False, None)
    assert compare.compare_weights(first, tmp_path / "none") == compare.WeightsMatch(False, None)


def scored(value: float, benchmark: str = "b1") -> Scores:
    drawn = np.full(20, 0.1)
    return Scores(benchmark, 100, {"fid": Estimate(value, value, drawn, np.zeros(20), np.zeros((3, 20)))})


def test_a_score_is_equal_where_no_difference_that_counts_is_sure() -> None:
    (same,) = compare.match_scores(scored(10), scored(10), lambda name: 0.0).values()
    (near,) = compare.match_scores(scored(10), scored(10.5), lambda name: 0.0).values()
    (far,) = compare.match_scores(scored(10), scored(15), lambda name: 0.0).values()
    (noisy,) = compare.match_scores(scored(10), scored(15), lambda name: 4.0).values()
    assert [same.equal, near.equal, far.equal, noisy.equal] == [True, True, False, True]
    assert (far.difference, noisy.counts) == (5.0, 4.0)
    assert far.low < 5 < far.high


def test_scores_of_two_benchmarks_are_not_compared() -> None:
    with pytest.raises(InputError, match="cannot be compared"):
        compare.match_scores(scored(10), scored(10, "b2"), lambda name: 0.0)
