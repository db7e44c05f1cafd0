"""What a registered version answers, and what it refuses: in Python, and served over HTTP with MLflow's own server."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.core.numbers import LONGEST_PROMPT
from tests.support import flat_model
from tests.support.flat_model import greys

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow
    from mlflow.exceptions import MlflowException

SEEDS = 2**31
MOST = 2**26 // 16  # images of 4x4 in one answer
Ask = Callable[..., tuple[int, Any]]

# Tables that are refused, with what the message says that came and was expected.
REFUSED: list[tuple[list[dict[str, Any]], str]] = [
    ([{"count": -2}], "row 0: count: came -2, expected a whole number from 1 to 4,194,304"),
    ([{"count": 0}], "row 0: count: came 0, expected a whole number from 1 to"),
    ([{"count": 200_000_000}], "row 0: count: came 200000000, expected a whole number from 1 to 4,194,304"),
    ([{"count": 10**30}], "row 0: count: came 1000000000000000000000000000000, expected"),
    ([{"count": 2.5}], "row 0: count: came 2.5, expected"),
    ([{"count": True}], "row 0: count: came True, expected"),
    ([{"count": "3"}], "row 0: count: came '3', expected"),
    ([{"count": None}], "row 0: count: came None, expected"),
    ([{"count": [1, 2]}], r"row 0: count: came \[1, 2\], expected"),
    ([{"count": {"a": 1}}], "row 0: count: came {'a': 1}, expected"),
    ([{"count": 1}, {"count": -1}], "row 1: count: came -1, expected"),
    ([{"count": MOST}, {"count": 1}], "came 4,194,305 images or more, expected at most 4,194,304 in one request"),
    ([{"seed": -1}], "row 0: seed: came -1, expected a whole number from 0 to 2,147,483,647"),
    ([{"seed": SEEDS}], "row 0: seed: came 2147483648, expected a whole number from 0 to 2,147,483,647"),
    ([{"seed": SEEDS - 1, "count": 2}], "row 0: seed: came 2147483647, expected a whole number from 0 to 2,147,483,646"),
    ([{"seed": 1.5}], "row 0: seed: came 1.5, expected"),
    ([{"seed": 4}, {"count": 2}], "row 0: count: came nan, expected"),  # a seed with a count and one without
    ([{"label": 3}], "row 0: label: came 3, expected a whole number from 0 to 2"),
    ([{"label": -1}], "row 0: label: came -1, expected a whole number from 0 to 2"),
    ([{"label": "horse"}], "row 0: label: came 'horse', expected one of cat, dog, 7, or an index"),
    ([{"label": False}], "row 0: label: came False, expected"),
    ([{"label": 0.5}], "row 0: label: came 0.5, expected"),
    ([{"cuont": 3}], "came no row with one of the columns count, seed and label"),
    ([], "came no row with one of the columns count, seed and label"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> str:
    return flat_model.save(tmp_path_factory.mktemp("version"))


@pytest.fixture(scope="module")
def model(saved: str) -> Any:
    return mlflow.pyfunc.load_model(saved)


@pytest.fixture(scope="module")
def ask(model: Any) -> Ask:
    """POST to MLflow's scoring server in this process: the status, and the greys of the images or the message."""
    from mlflow.pyfunc.scoring_server import init
    from starlette.testclient import TestClient

    client = TestClient(init(model))

    def post(body: Any, **params: Any) -> tuple[int, Any]:
        content = json.dumps({**body, **({"params": params} if params else {})})
        return answer(client.post("/invocations", content=content, headers={"content-type": "application/json"}))

    return post


def answer(response: Any) -> tuple[int, Any]:
    found = response.json()
    return response.status_code, greys(found["predictions"]) if "predictions" in found else found["message"]


def records(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"dataframe_records": list(rows)}


def test_the_signature_has_names_types_and_defaults(model: Any) -> None:
    signature = model.metadata.signature.to_dict()
    assert json.loads(signature["params"]) == [
        {"name": "count", "default": 1, "shape": None, "type": "long"},
        {"name": "seed", "default": 0, "shape": None, "type": "long"},
        {"name": "label", "default": None, "shape": None, "type": "long"},
    ]
    assert [(column["name"], column["required"]) for column in json.loads(signature["inputs"])] == [
        ("count", False),
        ("seed", False),
        ("label", False),
    ]
    (images,) = json.loads(signature["outputs"])
    assert images["tensor-spec"] == {"dtype": "uint8", "shape": [-1, 4, 4, 1]}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"count": 4, "seed": 5, "label": 1}, [15, 16, 17, 18]),
        ({"count": 3, "seed": 5, "label": "7"}, [25, 26, 27]),  # a name, not an index
        ({"count": 4}, [0, 11, 22, 3]),  # the classes take turns
        ({"seed": 8}, [8]),
        ({"label": "dog"}, [10]),
        (pd.DataFrame({"count": [1, 2], "seed": [3, 4], "label": [2, None]}), [23, 4, 15]),
        (pd.DataFrame({"count": [1.0, 2.0], "label": ["dog", None]}), [10, 0, 11]),
        (pd.DataFrame({"seed": np.array([1, 2], np.uint8), "other": ["x", "y"]}), [1, 2]),
    ],
)
def test_what_is_asked_for_comes(model: Any, asked: Any, expected: list[int]) -> None:
    assert greys(model.predict(asked)) == expected


@pytest.mark.parametrize(("rows", "words"), REFUSED, ids=str)
def test_nonsense_is_refused_in_words(model: Any, ask: Ask, rows: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(MlflowException, match=words) as caught:
        model.predict(pd.DataFrame(rows))
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    status, message = ask(records(*rows))
    assert status == 400
    assert re.search(words, message)


def test_not_a_number_is_no_seed(model: Any) -> None:
    for nonsense in (math.nan, math.inf, -math.inf, None, pd.NA):
        with pytest.raises(MlflowException, match=r"row 0: seed: came .*, expected a whole number"):
            model.predict(pd.DataFrame({"count": [1], "seed": [nonsense]}))


def test_params_are_for_what_the_table_leaves_open(ask: Ask) -> None:
    assert ask(records({"count": 2}), seed=4) == (200, [4, 15])
    assert ask(records({"count": 2}), seed=4, label=2) == (200, [24, 25])
    assert ask(records({"seed": 1}, {"seed": 6}), count=2, label=0) == (200, [1, 2, 6, 7])
    assert ask(records({"count": 1, "label": None}, {"count": 1}), label=2) == (200, [20, 20])
    assert ask({"inputs": {"count": [2, 1], "seed": [3, 5]}}, label=1) == (200, [13, 14, 15])


@pytest.mark.parametrize(
    ("row", "params", "words"),
    [
        ({"count": 2}, {"count": 3}, "row 0: count: came 2 in the table and 3 in params; expected one of them"),
        ({"count": 1, "seed": 2}, {"seed": 7}, "row 0: seed: came 2 in the table and 7 in params"),
        ({"count": 1, "label": 2}, {"label": 1}, "row 0: label: came 2 in the table and 1 in params"),
        ({"seed": 1}, {"count": -2}, "row 0: count: came -2, expected a whole number from 1 to"),
        ({"seed": 1}, {"count": 200_000_000}, "row 0: count: came 200000000, expected"),
        ({"count": 1}, {"label": 9}, "row 0: label: came 9, expected a whole number from 0 to 2"),
        ({"count": 1}, {"seed": 1.5}, "Can not safely convert `<class 'float'>`"),  # MLflow's own words, by the signature
        ({"count": 1}, {"seed": True}, "Can not safely convert `<class 'bool'>`"),
        ({"count": 1}, {"label": "cat"}, "Can not safely convert `<class 'str'>`"),
    ],
)
def test_params_that_contradict_or_cannot_be_are_refused(
    ask: Ask, row: dict[str, Any], params: dict[str, Any], words: str
) -> None:
    status, message = ask(records(row), **params)
    assert status == 400
    assert words in message


@pytest.mark.parametrize("body", [{"inputs": [1, 2]}, {"inputs": 5}, {"inputs": "abc"}, {"inputs": {}}, {"rows": []}, {}])
def test_a_body_of_another_form_is_the_callers_fault(ask: Ask, body: Any) -> None:
    assert ask(body)[0] == 400


def test_a_model_without_classes_is_asked_for_none(tmp_path: Path) -> None:
    model = mlflow.pyfunc.load_model(flat_model.save(tmp_path, classes=[]))
    assert greys(model.predict({"count": 2, "seed": 3})) == [93, 94]
    with pytest.raises(MlflowException, match="row 0: label: came 1, but this model has no classes; leave it out"):
        model.predict({"count": 2, "label": 1})


@pytest.fixture(scope="module")
def of_prompts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return mlflow.pyfunc.load_model(flat_model.save(tmp_path_factory.mktemp("prompts"), prompts=True))


def test_a_prompt_is_answered_and_not_a_class(of_prompts: Any) -> None:
    signature = of_prompts.metadata.signature.to_dict()
    assert json.loads(signature["params"])[-1] == {"name": "prompt", "default": None, "shape": None, "type": "string"}
    assert json.loads(signature["inputs"])[-1]["name"] == "prompt"
    assert greys(of_prompts.predict({"prompt": "a fox", "count": 2, "seed": 3})) == [53, 54]
    mixed = pd.DataFrame({"prompt": ["a fox", None, "fox"], "label": [None, "dog", None], "count": [1, 2, 1]})
    assert greys(of_prompts.predict(mixed)) == [50, 10, 11, 30]
    assert greys(of_prompts.predict({"prompt": "x" * LONGEST_PROMPT})) == [10 * LONGEST_PROMPT % 256]
    assert greys(of_prompts.predict({"count": 3})) == [0, 11, 22]  # without one the classes take turns
    assert greys(of_prompts.predict(pd.DataFrame({"seed": [1, 2]}), params={"prompt": "a fox"})) == [51, 52]


@pytest.mark.parametrize(
    ("row", "params", "words"),
    [
        ({"prompt": "a fox", "label": "cat"}, {}, "row 0: came the prompt 'a fox' and the label 'cat'; expected one"),
        ({"prompt": "a fox"}, {"label": 1}, "row 0: came the prompt 'a fox' and the label 'dog'; expected one"),
        ({"prompt": "a fox"}, {"prompt": "a dog"}, "row 0: prompt: came 'a fox' in the table and 'a dog' in params"),
        ({"prompt": 3}, {}, "row 0: prompt: came 3, expected a text of 1 to 500 characters"),
        ({"prompt": " "}, {}, "row 0: prompt: came ' ', expected a text"),
        ({"prompt": "x" * (LONGEST_PROMPT + 1)}, {}, "row 0: prompt: came 'xxxx.*…, expected a text"),
        ({"other": 1}, {}, "came no row with one of the columns count, seed, label and prompt"),
    ],
)
def test_prompts_that_contradict_or_are_none_are_refused(
    of_prompts: Any, row: dict[str, Any], params: dict[str, Any], words: str
) -> None:
    with pytest.raises(MlflowException, match=words) as caught:
        of_prompts.predict(pd.DataFrame([row]), params=params or None)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_version_that_takes_no_prompts_refuses_what_it_gets_to_see(model: Any) -> None:
    """MLflow drops the column before, with a warning in its log, as any other that the signature does not have."""
    assert greys(model.predict({"prompt": "a fox", "count": 2})) == [0, 11]
    with pytest.raises(MlflowException, match="came no row with one of the columns count, seed and label"):
        model.predict({"prompt": "a fox"})
    with pytest.raises(MlflowException, match="row 0: prompt: came 'a fox', but this model takes no prompts; leave it out"):
        model.unwrap_python_model().predict(None, pd.DataFrame({"prompt": ["a fox"]}))


def test_ways_and_variations_have_the_same_limits(model: Any) -> None:
    sampler = model.unwrap_python_model()
    assert greys(sampler.interpolate(3, 8, steps=2, label="dog")) == [13, 18]
    assert greys(sampler.variations(3, strength=0.2, count=2)) == [3, 3]
    for call in (
        lambda: sampler.interpolate(-3, 8, steps=5),
        lambda: sampler.interpolate(3, SEEDS, steps=5),
        lambda: sampler.interpolate(3, 8, steps=1),
        lambda: sampler.interpolate(3, 8, steps=200_000_000),
        lambda: sampler.variations(3.5, strength=0.2, count=8),
        lambda: sampler.variations(3, strength=0.2, count=-8),
        lambda: sampler.variations(3, strength=0.2, count=8, label="horse"),
    ):
        with pytest.raises(MlflowException, match=r"came .*, expected"):
            call()


def test_a_message_is_short_whatever_came(model: Any) -> None:
    with pytest.raises(MlflowException) as caught:
        model.predict(pd.DataFrame({"count": ["x" * 100_000]}))
    assert len(caught.value.message) < 200


@pytest.mark.slow
def test_mlflows_server_refuses_with_status_400_and_goes_on(saved: str) -> None:
    """`mlflow models serve`, as docs/models.md has it, asked over HTTP."""
    import httpx

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", saved, "--env-manager", "local"]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},  # it starts uvicorn by its name
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"{url}/ping", timeout=5, trust_env=False).raise_for_status()
                break
            except httpx.HTTPError:
                assert time.monotonic() < end, "the server did not start"
                time.sleep(0.2)
        for rows, _ in REFUSED:
            assert httpx.post(f"{url}/invocations", json=records(*rows), trust_env=False, timeout=60).status_code == 400, rows
        response = httpx.post(f"{url}/invocations", json=records({"count": 3, "label": "dog"}), trust_env=False, timeout=60)
        assert answer(response) == (200, [10, 11, 12])
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
