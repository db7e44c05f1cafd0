"""What the gate says of versions that have learned from people's votes: on digits, and on colour images without classes.

    python -m benchmarks.gate_votes --out gatevotes                      # a second call goes on
    python -m benchmarks.gate_votes --out gatevotes --only digits --champions 1

Of each champion and each of three tastes: 20 raters cast 2,000 votes, one in ten a mistake, and a version goes on from the
champion for `feedback.steps`, as the flow `feedback` trains it. It should be promoted. One that learned from the same votes,
dealt to images by chance, should not be; nor should the version of the true votes whose images are spoiled: blurred, noisy, or
one class shown in the place of another. The gate judges by the rules of params.yaml; its noise floor comes from trainings
that are in no pair. Stages run one after the other in this process, with models in folders in place of a registry.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ladder
from benchmarks.gate import prepare as prepare_data
from benchmarks.gate import share, version
from benchmarks.hundred_clicks import coloured_glyphs, tastes
from pipelines import approval, catalogue, curate, noise, train
from pipelines.core import backend, files, processes, rows, shards
from pipelines.core.project import Project
from pipelines.feedback.events import Sample
from pipelines.feedback.sealed import event_images, manifest, seal
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store.event_store import EventStore
from pipelines.promotion import gate
from pipelines.promotion.decisions import Contest
from pipelines.promotion.gate import Conditions, Contender, GateResult
from pipelines.registry import sampler, samplers
from pipelines.registry.versions import Version
from pipelines.scoring import generated, scores
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params
from pipelines.simulation import raters
from pipelines.simulation.settings import Simulation, load
from pipelines.tastes.base import Likes, RealRows

GLYPHS = 4_000
SETTINGS = {
    "digits": ["sources=[{type: digits}]", "image.channels=1"],
    "colour": ["sources=[{type: npz, path: glyphs.npz}]", "image.channels=3"],
}
CHAMPIONS = 7  # of each data set, and three tastes: 42 pairs
VOTES, RATERS = 2_000, 20
NOISE = 9000  # seed of the first training for the noise floor
CHAMPION, LEARNED, SHUFFLED, FIRST_SPOILED = 1, 2, 3, 10  # numbers of versions

Spoil = Callable[[np.ndarray], np.ndarray]


def blurred(images: np.ndarray) -> np.ndarray:
    return ladder.blur(images, 1.0, np.random.default_rng(0))


def noisy(images: np.ndarray) -> np.ndarray:
    return ladder.noise(images, 25.0, np.random.default_rng(len(images)))


SPOILED: dict[str, Spoil] = {"blurred": blurred, "noisy": noisy}


class SpoiledSampler:
    """A model whose images are spoiled; or, without `spoil`, one that has lost a class: it shows the next one in its place."""

    def __init__(self, model: Any, spoil: Spoil | None) -> None:
        self.model, self.spoil, self.classes, self.conditional = model, spoil, model.classes, model.conditional

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        if self.spoil is not None:
            return self.spoil(self.model.draw(seeds, labels))
        assert labels is not None
        return self.model.draw(seeds, np.where(labels == 0, 1, labels))


@dataclass
class FolderRegistry:
    """Versions that are folders. spoiled: numbers of versions that show the images of LEARNED, spoiled."""

    folders: dict[int, Path]
    spoiled: dict[int, Spoil | None] = field(default_factory=dict)
    name: str = "benchmark"

    def load(self, number: int | None = None) -> Any:
        number = number or CHAMPION
        if number in self.spoiled:
            return SpoiledSampler(self.load(LEARNED), self.spoiled[number])
        return sampler.load(self.folders[number])

    def fetch(self, folder: Path, number: int | None = None) -> int | None:
        if CHAMPION not in self.folders:
            return None
        shutil.copytree(self.folders[CHAMPION], folder)
        return CHAMPION

    def generation(self, number: int) -> int:
        return 1

    def identity(self, number: int) -> str:
        return f"{number:x}"

    def artifact(self, version: Version, name: str, folder: Path) -> Path | None:
        return None


@dataclass(frozen=True)
class Case:
    """verdict: of the gate, on a version that is `kind`, of a pair of a data set and a taste. liked: share before and after."""

    data: str
    taste: str
    champion: int
    kind: str
    verdict: str
    liked: tuple[float, float]
    why: list[str]

    def line(self) -> str:
        before, after = self.liked
        faults = "" if self.verdict == "promote" else f" ({'; '.join(self.why)})"
        pair = f"{self.data:<8}{self.taste:<17}{self.champion:>4}"
        return f"{pair}  {self.kind:<14}{before:>6.3f}{after:>7.3f}  {self.verdict}{faults}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="keeps models and verdicts; those that are there are used")
    parser.add_argument("--only", choices=sorted(SETTINGS), help="this data set")
    parser.add_argument("--champions", type=int, default=CHAMPIONS, help="of each data set; each meets three tastes")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="over params.yaml")
    options = parser.parse_args()
    processes.set_defaults()
    backend.load()
    cases = []
    for data in [options.only] if options.only else SETTINGS:
        folder = options.out.absolute() / data
        prepare(folder, data, options.settings)
        for case in judge_all(folder, data, options.champions):
            print(case.line(), flush=True)
            cases.append(case)
    print("\n" + "\n".join(table(cases)))


def prepare(folder: Path, data: str, settings: list[str]) -> None:
    """Make `folder` a project whose data is ready to train on."""
    if data == "colour" and not (folder / "glyphs.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "glyphs.npz", x_train=coloured_glyphs(GLYPHS, 16))
    prepare_data(folder, ["image.size=16", *SETTINGS[data], *settings])


def judge_all(folder: Path, data: str, champions: int) -> Iterator[Case]:
    """Every case, those that were judged before first."""
    base = Project.find(folder)
    retrained = [train_model(base, NOISE + number) for number in range(load_params(base.params_file).promotion.noise)]
    real = rows.load(base.clean, "train", "real")
    for number in range(1, champions + 1):
        for taste, likes in three_tastes(data, RealRows(real.images, real.labels, shards.classes(base.clean))).items():
            place = folder / "pairs" / f"{number}-{taste.replace(' ', '-')}"
            kept = place / "cases.json"
            if not kept.exists():
                champion = train_model(base, number)
                found = judge_pair(base, place, champion, retrained, likes, number)
                content = [[kind, verdict.verdict, liked, why(verdict)] for kind, verdict, liked in found]
                files.write(kept, json.dumps(content, indent=2) + "\n")
            for kind, verdict, liked, reasons in json.loads(kept.read_text()):
                yield Case(data, taste, number, kind, verdict, tuple(liked), reasons)


def three_tastes(data: str, real: RealRows) -> dict[str, Likes]:
    found = {name: likes for name, likes in tastes(real).items() if name in ("heavier strokes", "slant", "wide")}
    if data == "colour":
        del found["wide"]
        middle = np.median(warmth(real.images))
        found["warm colours"] = lambda images, labels: warmth(images) > middle
    return found


def warmth(images: np.ndarray) -> np.ndarray:
    """(n,) float64: how much more red than blue."""
    return (images[..., 0].astype(np.float64) - images[..., 2]).mean(axis=(1, 2))


def train_model(base: Project, seed: int) -> Path:
    """The folder of a model that is trained from scratch with this seed, without votes."""
    folder = base.root / "models" / str(seed)
    if not (folder / "data/model/model.json").exists():
        project = own_project(base, folder)
        for name in ("curated", "approval"):
            link(base.root / "data" / name, folder / "data" / name)
        train_quietly(project, load_params(project.params_file), FolderRegistry({}), seed)
    return folder / "data/model"


def own_project(base: Project, folder: Path) -> Project:
    """A new project with the data and the benchmark of `base`, and with feedback of its own."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(base.root / name, folder)
    for name in ("facts", "clean", "reference"):
        link(base.root / "data" / name, folder / "data" / name)
    return Project.find(folder).with_variables({"GENLOOP_DATABASE_URL": f"sqlite:///{folder}/feedback.db"})


def link(target: Path, place: Path) -> None:
    if not place.is_symlink():
        place.symlink_to(target)


def train_quietly(project: Project, params: Params, registry: FolderRegistry, seed: int, **changes: Any) -> None:
    training = params.train.model_copy(update={"seed": seed, "preview_every": 10_000_000, **changes})
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        train.train(project, params.model_copy(update={"train": training}), registry)  # type: ignore[arg-type]


def judge_pair(
    base: Project, place: Path, champion: Path, retrained: list[Path], likes: Likes, number: int
) -> Iterator[tuple[str, GateResult, tuple[float, float]]]:
    """What the gate says of a version that learned, of one that learned from shuffled votes, and of the first one spoiled."""
    shutil.rmtree(place, ignore_errors=True)
    settings = load(None, [f"votes={VOTES}", f"raters={RATERS}", f"seed={number}"])
    for made, kind in ((LEARNED, "learned"), (SHUFFLED, "shuffled")):
        project = own_project(base, place / kind)
        registry = FolderRegistry({CHAMPION: champion, made: project.model})
        params = load_params(project.params_file)
        vote(project, registry, settings.model_copy(update={"shuffled": kind == "shuffled"}), likes)
        with redirect_stdout(io.StringIO()):
            curate.run(project, params)
            approval.run(project, params)
        steps = params.feedback.steps
        train_quietly(project, params, registry, number, init="champion", steps=steps)
        write_noise(project, params, retrained)
        versions: dict[int, str] = {made: kind}
        if kind == "learned":
            spoils: dict[str, Spoil | None] = {**SPOILED} | ({"a class lost": None} if registry.load().conditional else {})
            registry.spoiled = dict(enumerate(spoils.values(), FIRST_SPOILED))
            versions |= dict(enumerate(spoils, FIRST_SPOILED))
        before = liked_share(registry, CHAMPION, likes)
        for of_kind, name in versions.items():
            contest = Contest(version(of_kind), version(CHAMPION))
            verdict = gate.judge(project, params, registry, contest, lambda line: None)  # type: ignore[arg-type]
            yield name, verdict, (before, liked_share(registry, of_kind, likes))


def vote(project: Project, registry: FolderRegistry, settings: Simulation, likes: Likes) -> None:
    """Raters vote on the champion's images, and their votes are folded."""
    model = registry.load()
    seeds = 1_000_000 * (1 + settings.seed) + np.arange(settings.samples)
    labels = seeds % max(1, len(model.classes)) if model.conditional else None
    samples = [
        Sample(version=CHAMPION, seed=seed, label=label)
        for seed, label in zip(seeds.tolist(), [None] * len(seeds) if labels is None else labels.tolist(), strict=True)
    ]
    liked = likes(model.draw(seeds, labels), labels)
    with EventStore.open(project.database_url) as store:
        store.add_samples(map(ShownSample, samples))
        store.add(raters.vote(settings, 1, samples, liked))
        seal.fold(store, project.feedback, classes=shards.classes(project.clean))
        event_images.complete(project.feedback, project.uploads, samplers.loader(registry), store.shown)  # type: ignore[arg-type]
    manifest.update(project.feedback, project.manifest)


def liked_share(registry: FolderRegistry, number: int, likes: Likes, count: int = 2_000) -> float:
    """Share of fresh images that the taste likes."""
    model = registry.load(number)
    seeds = 900_000_000 + np.arange(count)
    labels = seeds % max(1, len(model.classes)) if model.conditional else None
    return float(likes(model.draw(seeds, labels), labels).mean())


def write_noise(project: Project, params: Params, models: list[Path]) -> None:
    """data/noise.json, as the stage `noise` does, under what people like in this project; samples are generated once."""
    conditions = Conditions.read(project, params, with_steps=False)
    metrics = sorted(set(gate.metrics_of(params.promotion.single_rules)) & set(catalogue.METRICS))
    by_seed = {}
    for number, folder in enumerate(models):
        place = folder.parent / "samples.npz"
        if not place.exists():
            registry: Any = FolderRegistry({CHAMPION: folder})
            generated.write(place, Contender(params, registry, version(CHAMPION), conditions, lambda line: None).samples)
        comparison = generated.comparison(generated.read(place), conditions.pinned, project.approval)
        by_seed[NOISE + number] = scores.measure(comparison, metrics)
    noise.write(project.noise_floor, by_seed)


def why(verdict: GateResult) -> list[str]:
    return [f"{rule.metric} {rule.kind} {rule.verdict}" for rule in verdict.rules if rule.verdict in ("reject", "undecided")]


def table(cases: list[Case]) -> list[str]:
    lines = [f"{'version':<16}{'pairs':>6}{'promoted':>10}{'rejected':>10}{'undecided':>11}{'liked before':>14}{'after':>8}"]
    for kind in dict.fromkeys(case.kind for case in cases):
        own = [case for case in cases if case.kind == kind]
        words = [case.verdict for case in own]
        counts = "".join(
            f"{share(words.count(word), own):>{width}}" for word, width in (("promote", 10), ("reject", 10), ("undecided", 11))
        )
        before, after = np.mean([case.liked for case in own], axis=0)
        lines.append(f"{kind:<16}{len(own):>6}{counts}{before:>14.3f}{after:>8.3f}")
    return lines


if __name__ == "__main__":
    main()
