"""What `genloop gc` frees after turns of the loop, and whether every version still rebuilds and generates the same pictures.

python -m benchmarks.garbage --turns 10

A clone of the project takes turns with simulated raters: votes, fold, training from the champion, evaluation, register. Every
other turn is committed; the data of the others is named by what their versions have kept alone. After every third turn a model
is trained with another seed and dropped, once after it was registered. Then `gc`, `gc --past`, and each version again.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from benchmarks import workspace
from operations import garbage, simulate, versioning
from operations.garbage import Garbage, GarbageRules
from operations.rebuild import rebuild
from pipelines.core.project import Project
from pipelines.registry.client import Registry, open_registry
from pipelines.settings.load import load_params, update_params
from pipelines.simulation import judge, settings
from workspace import stages

TINY = [
    "model.preset=tiny", "train.steps=60", "train.batch_size=32", "train.preview_every=30", "reference.steps=40",
    "evaluate.samples=200", "promotion.noise=0",
]  # fmt: skip
VOTES = ["votes=400", "raters=20", "fresh=10", "uploads=2", "reports=1", "params={train: {steps: 30}}"]
PICTURES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10)
    turns = parser.parse_args().turns
    with workspace.clone(settings=TINY) as folder:
        project = Project.find(folder, {**os.environ, "PYTHONPATH": str(folder)})
        params, registry = open_registry(project)
        take_turns(project, registry, turns)
        numbers = registry.numbers()
        pictures = {number: draw(registry, number) for number in numbers}
        print(f"{turns} turns, {len(numbers)} versions: {describe(project)}", flush=True)
        for rules in (GarbageRules(), GarbageRules(past=True)):
            started = time.monotonic()
            said = garbage.find(project, registry, rules)
            freed = garbage.free(project, registry, rules, said, print)
            name = "gc --past" if rules.past else "gc"
            seconds = time.monotonic() - started
            print(f"{name}: {list_kinds(freed)}; as said: {freed == said}; {seconds:.1f} s: {describe(project)}", flush=True)
            print(f"{name} again: {list_kinds(garbage.find(project, registry, rules))}", flush=True)
        for number in numbers:
            started = time.monotonic()
            match = rebuild(project, params, registry, number, False, lambda line: None).match
            same = np.array_equal(draw(registry, number), pictures[number])
            print(f"version {number}: {match}, the same pictures: {same}, {time.monotonic() - started:.0f} s", flush=True)


def take_turns(project: Project, registry: Registry, turns: int) -> None:
    simulation = settings.load(None, VOTES)
    simulate.run_stale_stages(project, load_params(project.params_file), registry)
    versioning.commit(project, load_params(project.params_file), registry, print)
    expert = judge.fit(simulation.taste, project.clean)
    for number in range(1, turns + 1):
        simulate.take_turn(project, registry, simulation, number, expert)
        if number % 2 == 0:
            versioning.commit(project, load_params(project.params_file), registry, print)
        if number % 3 == 0:
            drop_model(project, registry, registered=number == 3)


def drop_model(project: Project, registry: Registry, registered: bool) -> None:
    """Train a model with another seed, and have nobody keep it. registered: make it a version first, which is then deleted."""
    update_params(project.params_file, settings=["train.seed=7"])
    for name in ("train", "evaluate", *(["register"] if registered else [])):
        stages.repro(project, name, True, lambda line: None)
    if registered:
        receipt = registry.receipt()
        assert receipt is not None
        registry.client.delete_model_version(registry.name, str(receipt["version"]))
    update_params(project.params_file, settings=["train.seed=0"])


def draw(registry: Registry, number: int) -> np.ndarray:
    sampler = registry.load(number)
    labels = np.arange(PICTURES, dtype=np.int32) % len(sampler.classes) if sampler.conditional else None
    found: np.ndarray = sampler.draw(np.arange(PICTURES), labels)
    return found


def list_kinds(found: Garbage) -> str:
    kinds = (f"{count} {kind} of {size:,} bytes" for kind, (count, size) in found.counts().items() if count)
    return ", ".join(kinds) or "nothing"


def describe(project: Project) -> str:
    cache, registry = (size(project.root / name) for name in (".dvc/cache/files", "mlruns"))
    return f"DVC's cache has {cache:,} bytes, mlruns {registry:,}"


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
