"""The verdict as other programs read it."""

from __future__ import annotations

import json
import math

from pipelines.promotion.rules import Judged
from pipelines.promotion.verdict import Verdict


def test_it_is_json_of_the_agreed_keys_and_of_finite_numbers() -> None:
    rule = Judged("fid", "better", 0.1, 0.3, math.nan, -math.inf, 0.5, "undecided", "why")
    found = Verdict("undecided", None, 4, "b", 1500, [rule], 0).as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "verdict": "undecided",
        "champion": None,
        "challenger": 4,
        "benchmark_id": "b",
        "rules": [
            {
                "metric": "fid",
                "kind": "better",
                "margin": 0.1,
                "difference": None,
                "low": None,
                "high": 0.5,
                "verdict": "undecided",
            }
        ],
        "samples": 1500,
        "noise": 0,
    }
