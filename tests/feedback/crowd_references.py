"""What crowd-kit's DawidSkene says of a few made-up votes, kept in crowd_references.json.

    python -m venv CROWD
    CROWD/bin/pip install --no-deps crowd-kit==1.4.2
    CROWD/bin/pip install pandas attrs numpy scikit-learn tqdm
    CROWD/bin/python tests/feedback/crowd_references.py

crowd-kit 1.4.2. The votes are made here, so that only numbers are stored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

STORED = Path(__file__).with_suffix(".json")
ROUNDS = (1, 3, 50)  # of expectation maximisation; all of them are made, however little they change
RATERS, ITEMS = 12, 150


def made() -> dict[str, np.ndarray]:
    """rater, item, value (n,): raters from one always right to an adversary, some with few votes, one with one value only."""
    random = np.random.default_rng(11)
    right = np.where(random.random(ITEMS) < 0.6, 1, -1)
    skill = np.linspace(1.0, 0.2, RATERS)
    rater, item = np.nonzero(random.random((RATERS, ITEMS)) < np.linspace(0.05, 0.6, RATERS)[random.permutation(RATERS), None])
    value = np.where(random.random(len(rater)) < skill[rater], right[item], -right[item])
    value[rater == 5] = 1
    items = np.unique(item)  # crowd-kit knows no item without votes
    return {"rater": rater, "item": np.searchsorted(items, item), "value": value}


def main() -> None:
    import sys
    from unittest import mock

    for name in ("nltk", "nltk.translate", "nltk.translate.gleu_score"):
        sys.modules[name] = mock.MagicMock()  # imported by crowd-kit, not used by this
    import pandas as pd
    from crowdkit.aggregation.classification.dawid_skene import DawidSkene

    votes = made()
    frame = pd.DataFrame({"task": votes["item"], "worker": votes["rater"], "label": votes["value"]})
    gold = pd.Series({task: 1 if task % 2 else -1 for task in range(10)})
    found: dict[str, Any] = {}
    for rounds in ROUNDS:
        for name, true in (("votes", None), ("gold", gold)):
            model = DawidSkene(n_iter=rounds, tol=-np.inf).fit(frame, true)
            errors = model.errors_.reset_index()
            found[f"{name} {rounds}"] = {
                "posterior": model.probas_.sort_index()[1].round(9).tolist(),
                "prior": float(model.priors_[1]),
                # Each row: rater, vote, its probability where -1 is right, and where 1 is.
                "errors": errors[["worker", "label", -1, 1]].to_numpy(float).round(9).tolist(),
            }
    STORED.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
