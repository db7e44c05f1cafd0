"""The whole loop on PostgreSQL and S3, named by environment variables alone: its figures are those of the embedded default."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.settings.load import update_params
from tests.services.conftest import keys
from tests.support.servers import PASSWORD
from tests.test_loop import TINY, copy_project, fingerprints

SETTINGS = (*TINY, "promotion.noise=0", "promotion.max_samples=500", "feedback.min_events=1", "versioning.push=true")
SECRETS = ("secret-of-tests", PASSWORD, "a%23secret")


@dataclass
class Machine:
    """A folder with the project, and the variables that it is used with."""

    folder: Path
    variables: dict[str, str]
    printed: list[str] = field(default_factory=list)

    def shell(self, *command: str, codes: tuple[int, ...] = (0,)) -> str:
        """Standard output of a command, run as by a user who stands in the folder."""
        outside = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PREFECT", "DVC", "AWS"))}
        path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(self.folder)}
        environment = {**outside, **path, "HOME": str(self.folder.parent), "NO_COLOR": "1", **self.variables}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=1500
        )
        self.printed.append(done.stdout + done.stderr)
        assert done.returncode in codes, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def genloop(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        return self.shell("python", "genloop.py", *arguments, codes=codes)

    def git(self, *arguments: str) -> str:
        return self.shell("git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments)

    def read(self, path: str) -> Any:
        return json.loads((self.folder / path).read_text())

    def seeds_of(self, count: int, out: Path) -> np.ndarray:
        self.genloop("generate", "--count", str(count), "--seed", "7", "--out", str(out))
        with np.load(out) as arrays:
            return np.asarray(arrays["images"])


def prepare(folder: Path, variables: dict[str, str]) -> Machine:
    """A project whose commits go to the repository `origin` beside it."""
    machine = Machine(folder / "project", variables)
    copy_project(machine.folder)
    update_params(machine.folder / "params.yaml", settings=SETTINGS)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch", "main", folder / "origin"], check=True)
    machine.git("init", "--quiet", "--initial-branch", "main")
    machine.git("add", ".")
    machine.git("commit", "--quiet", "--message", "project")
    machine.git("remote", "add", "origin", str(folder / "origin"))
    machine.git("push", "--quiet", "--set-upstream", "origin", "main")
    return machine


def votes() -> str:
    """Three people like even digits, and one of them sometimes errs."""
    lines = []
    for number in range(120):
        seed, label = number // 3, number // 3 % 10
        value = 1 if (label % 2 == 0) != (number % 30 == 0) else -1
        sample = {"version": 1, "seed": seed, "label": label}
        about = {"id": f"v{number}", "type": "vote", "rater": f"r{number % 3}", "at": "2026-01-31T12:00:00Z"}
        lines.append(json.dumps({**about, "sample": sample, "value": value}))
    return "\n".join(lines) + "\n"


def turn(machine: Machine) -> dict[str, Any]:
    """Run, vote, fold, train again, let the gate judge: all figures of it."""
    machine.genloop("run")
    first = machine.read("data/reports/metrics.json")
    (machine.folder.parent / "votes.jsonl").write_text(votes())
    machine.genloop("import-feedback", str(machine.folder.parent / "votes.jsonl"))
    machine.genloop("fold")
    machine.genloop("run", "--set", "train.seed=1")  # another model, whatever so few votes change
    verdict = json.loads(machine.genloop("promote", "--json", codes=(0, 3)))
    status = json.loads(machine.genloop("status", "--json"))
    for version in (status["champion"], status["challenger"]):
        del version["metrics"]["train/images_per_second"]  # of the machine, not of the model
    for name in ("last_fold", "last_training", "disk", "cache_bytes"):  # of this hour and this machine
        del status[name]
    del status["last_verdict"]["at"]
    moves = [{**move, "at": ""} for move in json.loads(machine.genloop("history", "--json"))]
    return {
        "first": first,
        "second": machine.read("data/reports/metrics.json"),
        "verdict": verdict,
        "status": status,
        "moves": moves,
        "manifest": {name: found["rows"] for name, found in machine.read("data/feedback.json")["files"].items()},
    }


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_loop_has_the_same_figures_and_a_second_machine_has_all_of_it(
    tmp_path: Path, database: Callable[[], str], s3: dict[str, str], bucket: str
) -> None:
    (tmp_path / "embedded").mkdir()
    (tmp_path / "services").mkdir()
    store = tmp_path / "embedded/store"
    embedded = prepare(tmp_path / "embedded", {"GENLOOP_REMOTE_URL": str(store)})
    url = database()
    variables = {**s3, **named(url, database(), bucket)}
    services = prepare(tmp_path / "services", variables)
    expected, found = turn(embedded), turn(services)
    compare(found, expected, fingerprints(services.folder), fingerprints(embedded.folder))
    assert curated(services) == curated(embedded)
    check_places(services, bucket)
    assert len(keys(bucket, "dvc/files/md5/")) == len([path for path in store.rglob("*") if path.is_file()])
    use_elsewhere(services, embedded, tmp_path)
    print(json.dumps({name: found[name] for name in ("first", "second", "verdict")}))


def named(url: str, prefect: str, bucket: str) -> dict[str, str]:
    return {
        "GENLOOP_DATABASE_URL": url,
        "MLFLOW_TRACKING_URI": url,  # the same database takes both
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": f"s3://{bucket}/models",
        "GENLOOP_REMOTE_URL": f"s3://{bucket}/dvc",
        "PREFECT_API_DATABASE_CONNECTION_URL": prefect.replace("postgresql://", "postgresql+asyncpg://"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",  # it makes its tables first, on a machine that may be busy
    }


def compare(found: dict[str, Any], expected: dict[str, Any], prints: dict[str, str], others: dict[str, str]) -> None:
    """The same figures and verdict, and the same bytes of data and model."""
    assert found["first"] == expected["first"]
    assert found["second"] == expected["second"]
    assert found["second"] != found["first"]  # feedback changed the model
    assert found["verdict"] == expected["verdict"]
    assert found["status"] == expected["status"]
    assert found["moves"] == expected["moves"]
    assert sum(found["manifest"].values()) == sum(expected["manifest"].values()) > 0
    same = {"data/model", "data/clean", "data/reference", "data/approval", "data/reports/metrics.json"}
    assert {path: prints[path] for path in same & set(prints)} == {path: others[path] for path in same & set(others)}


def curated(machine: Machine) -> dict[str, bytes]:
    """The tables of data/curated, whose about.json names the batches of this fold."""
    return {path.name: path.read_bytes() for path in (machine.folder / "data/curated").glob("*.parquet")}


def check_places(services: Machine, bucket: str) -> None:
    """Nothing was embedded after all, and no password or key lies in a file or was printed."""
    left = [path.name for path in services.folder.rglob("*") if path.suffix in (".db", ".sqlite") or path.name == "mlruns"]
    assert left == []
    assert len([key for key in keys(bucket, "models/") if key.endswith("MLmodel")]) == 2
    files = [path.read_bytes() for path in services.folder.rglob("*") if path.is_file()]
    assert not any(secret.encode() in content for secret in SECRETS for content in files)
    assert not any(secret in text for secret in SECRETS for text in services.printed)


def use_elsewhere(services: Machine, embedded: Machine, tmp_path: Path) -> None:
    """Two other machines, which have a clone and the variables."""
    variables = services.variables
    second = Machine(tmp_path / "second/project", variables)
    second.folder.parent.mkdir()
    subprocess.run(["git", "clone", "--quiet", services.folder.parent / "origin", second.folder], check=True)
    second.genloop("pull")
    assert second.read("data/reports/metrics.json") == services.read("data/reports/metrics.json")
    drawn = [machine.seeds_of(6, tmp_path / f"{number}.npz") for number, machine in enumerate((embedded, services, second))]
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], drawn[2])
    third = Machine(tmp_path / "third/project", variables)  # without `pull`: the rebuild fetches what it needs
    third.folder.parent.mkdir()
    subprocess.run(["git", "clone", "--quiet", services.folder.parent / "origin", third.folder], check=True)
    assert "equal" in third.genloop("rebuild", "1")
