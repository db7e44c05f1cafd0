"""What a hundred clicks change: people vote on what they are shown, and the next pictures go by it, without any training.

    python -m benchmarks.hundred_clicks                                 # digits, and coloured glyphs without classes
    python -m benchmarks.hundred_clicks --mnist mnist.npz --runs 3
    python -m benchmarks.hundred_clicks --only digits --out clicks      # keeps the projects: a second call trains nothing
    python -m benchmarks.hundred_clicks --project DIR --taste "heavier strokes"    # the champion of a project that is there

For each taste four simulated raters vote on grids of ten pictures, guided as soon as enough is known; one vote in ten is a
mistake. Then 1,000 more are shown. The table has the share of them that the taste likes, against 1,000 without guidance,
what was forecast of votes against what votes would say, and the coverage of held-out rows against that without guidance.

Three tastes are of the project (pipelines/tastes), three more are written for this: none of them is linear in what the
model of people's taste sees, each is a ratio of two sums over pixels. They like half of what is shown without guidance.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.stats import rankdata

from benchmarks import measure, workspace
from operations.generate import GeneratedImages
from operations.guide import Guide
from pipelines.core import backend, processes, rows, shards
from pipelines.core.project import Project
from pipelines.feedback.events import Sample, Vote
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.withheld import squared_distances
from pipelines.guidance.live_model import Learned, LiveModel
from pipelines.preference.judgements import Judgements
from pipelines.registry.client import open_registry
from pipelines.sources import glyphs
from pipelines.tastes import ink
from pipelines.tastes.base import Likes, RealRows
from pipelines.tastes.legible import Legible
from pipelines.tastes.slant import Slant
from pipelines.tastes.stroke_weight import StrokeWeight

MISTAKES, RATERS, GRID, SHOWN = 0.1, 4, 10, 1_000
FRESH = 50_000_000  # first seed of what is shown at the end
GLYPHS = 6_000
TASTES = ("heavier strokes", "slant", "legible", "symmetric", "wide", "crisp")
SETTINGS = {
    "digits": (),
    "mnist": ("train.steps=2000", "evaluate.samples=2000", "reference.steps=600", "image.size=28"),
    "glyphs": ("train.steps=6000", "evaluate.samples=2000", "image.channels=3"),
}


@dataclass(frozen=True)
class Outcome:
    """Shares of what was shown: plain, guided: that the taste likes. forecast: of votes that would like, and what `truth` is.
    coverage: against that without guidance. missing: judgements that were lacking, 0 where guidance was on."""

    plain: float
    guided: float
    forecast: float
    coverage: float
    tries: float
    missing: int

    @property
    def truth(self) -> float:
        return votes_share(self.guided)


@dataclass(frozen=True)
class Crowd:
    """How raters vote. mistakes: share of wrong votes. spammers, attackers: shares of raters who vote by chance, or against
    the taste. shuffled: votes are dealt to pictures by chance."""

    mistakes: float = MISTAKES
    raters: int = RATERS
    spammers: float = 0.0
    attackers: float = 0.0
    shuffled: bool = False

    def votes(self, liked: np.ndarray, raters: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """(n,) bool from (n,) bool, what the taste says, and (n,) int, who votes."""
        said = liked ^ (random.random(len(liked)) < self.mistakes)
        share = raters / self.raters
        said = np.where(share >= 1 - self.attackers, ~liked, said)
        spam = (share >= 1 - self.attackers - self.spammers) & (share < 1 - self.attackers)
        said = np.where(spam, random.random(len(liked)) < 0.5, said)
        return random.permutation(said) if self.shuffled else said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, help="mnist.npz in Keras' layout")
    parser.add_argument("--only", choices=sorted(SETTINGS), action="append", help="these data sets")
    parser.add_argument("--project", type=Path, help="this project's champion alone, whatever model it is")
    parser.add_argument("--taste", choices=TASTES, action="append", help="these tastes alone, and nothing else")
    parser.add_argument("--runs", type=int, default=3, help="of each taste")
    parser.add_argument("--votes", type=int, default=100)
    parser.add_argument("--brief", action="store_true", help="the table of tastes alone")
    parser.add_argument("--speed", action="store_true", help="the times of votes and pictures alone")
    parser.add_argument("--out", type=Path, help="keep the projects with their models here")
    options = parser.parse_args()
    if options.project:
        processes.set_defaults()
        backend.load()
        report(options.project.name, Project.find(options.project.absolute()), options)
        return
    names = options.only or [name for name in SETTINGS if name != "mnist" or options.mnist]
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        for name in names:
            folder = (options.out or Path(temporary)).absolute() / name
            make_project(folder, name, options.mnist)
            processes.set_defaults()
            backend.load()
            project = Project.find(folder)
            if options.speed:
                train = rows.load(project.clean, "train", "real")
                likes = StrokeWeight(name="stroke_weight").fit(RealRows(train.images, train.labels, []))
                print(f"{name}: {speed(project, likes)}", flush=True)
            else:
                report(name, project, options)


def make_project(folder: Path, name: str, mnist: Path | None) -> None:
    """A clone of the repository with a champion, trained from scratch on this data."""
    if (folder / "data/reports/register.json").is_file():
        return
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", workspace.REPOSITORY, folder], check=True)
        (folder / ".venv").symlink_to(workspace.PYTHON.parents[1])
    settings = list(SETTINGS[name])
    if name == "mnist":
        assert mnist is not None
        settings.append(f"sources=[{{type: npz, path: {mnist.resolve()}}}]")
    if name == "glyphs":
        np.savez(folder / "glyphs.npz", x_train=coloured_glyphs(GLYPHS, 16))
        settings.append("sources=[{type: npz, path: glyphs.npz}]")
    workspace.change(folder, (), settings)
    measure.run([folder / ".venv/bin/python", "genloop.py", "run"], folder, {"PYTHONPATH": str(folder)})


def coloured_glyphs(count: int, size: int) -> np.ndarray:
    """(count, size, size, 3) uint8: digits of many fonts, each in an ink and on a dark ground of its own."""
    random = np.random.default_rng(0)
    found = np.empty((count, size, size, 3), np.uint8)
    for number in range(count):
        cover = glyphs.draw("0123456789"[number % 10], size, 0, number)[..., None] / 255
        bright, dark = 255 * random.uniform(0.35, 1, 3), 255 * random.uniform(0, 0.2, 3)
        found[number] = np.rint(dark + cover * (bright - dark))
    return found


def tastes(real: RealRows, shown: np.ndarray | None = None) -> dict[str, Likes]:
    """shown: images (n, size, size, channels) uint8, half of which each of the tastes that are written here likes; by default
    the real ones."""
    found: dict[str, Likes] = {
        "heavier strokes": StrokeWeight(name="stroke_weight").fit(real),
        "slant": Slant(name="slant").fit(real),
    }
    if len(real.classes) > 1:
        found["legible"] = Legible(name="legible").fit(real)
    for name, measured in (("symmetric", symmetry), ("wide", width), ("crisp", crispness)):
        found[name] = ink.compare_with_median(measured, real if shown is None else RealRows(shown, real.labels, []), above=True)
    return found


def symmetry(images: np.ndarray) -> np.ndarray:
    """(n,) minus the ink that a mirror image has elsewhere, as a share of all."""
    amount = ink.amount(images)
    return -np.abs(amount - amount[:, :, ::-1]).sum(axis=(1, 2)) / np.maximum(amount.sum(axis=(1, 2)), 1)


def width(images: np.ndarray) -> np.ndarray:
    """(n,) the variance of the ink across over that up and down."""
    amount = ink.amount(images).astype(np.float64)
    total, places = np.maximum(amount.sum(axis=(1, 2)), 1e-9), np.arange(amount.shape[1])

    def variance(profile: np.ndarray) -> np.ndarray:
        return profile @ places**2 / total - (profile @ places / total) ** 2

    return variance(amount.sum(axis=1)) / np.maximum(variance(amount.sum(axis=2)), 1e-9)


def crispness(images: np.ndarray) -> np.ndarray:
    """(n,) how much greys change from pixel to pixel, for each unit of ink."""
    amount = ink.amount(images).astype(np.float64)
    changes = sum(np.abs(np.diff(amount, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))
    return changes / np.maximum(amount.sum(axis=(1, 2)), 1)


def report(name: str, project: Project, options: argparse.Namespace) -> None:
    runs, votes = options.runs, options.votes
    train, classes = rows.load(project.clean, "train", "real"), shards.classes(project.clean)
    with opened(project) as guide:
        shown = plain_images(guide, FRESH - SHOWN).images
    of_tastes = tastes(RealRows(train.images, train.labels, classes), shown)
    print(f"\n{name}: share liked among {SHOWN:,} pictures, mean of {runs} runs, least gain of a run in brackets")
    print(
        f"{'taste':<18}{'votes':>6}{'plain':>8}{'guided':>8}{'gain':>8}{'forecast':>10}{'truth':>7}{'coverage':>10}{'tries':>7}"
    )
    gains = []
    for taste, likes in of_tastes.items():
        if options.taste and taste not in options.taste:
            continue
        count = 3 * votes if taste == "legible" else votes
        found = [run(project, likes, Crowd(), count, seed) for seed in range(runs)]
        print(line(taste, count, found), flush=True)
        gains += [[one.guided - one.plain for one in found]] if taste != "legible" else []
    if options.taste:
        return
    print(
        f"mean gain where unguided is near a half: {np.mean(gains):+.3f}; least mean of a taste {np.mean(gains, 1).min():+.3f}"
    )
    if options.brief:
        return
    likes = of_tastes["heavier strokes"]
    for title, crowd, count in (
        ("votes by chance", Crowd(shuffled=True), votes),
        ("a crowd of 20", Crowd(raters=20), 4 * votes),
        ("spam and attacks", Crowd(raters=20, spammers=0.2, attackers=0.05), 4 * votes),
    ):
        print(line(title, count, [run(project, likes, crowd, count, seed) for seed in range(runs)]), flush=True)
    print(personal_line(project, of_tastes, votes, runs), flush=True)
    print(speed(project, likes), flush=True)
    print("\n".join(learning_lines(project, of_tastes, runs)))


def line(title: str, votes: int, found: Sequence[Outcome]) -> str:
    plain, guided, forecast, truth, coverage, tries = (
        float(np.mean([getattr(one, name) for one in found]))
        for name in ("plain", "guided", "forecast", "truth", "coverage", "tries")
    )
    least = min(one.guided - one.plain for one in found)
    off = sum(one.missing > 0 for one in found)
    return (
        f"{title:<18}{votes:>6}{plain:>8.3f}{guided:>8.3f}{guided - plain:>+8.3f}{forecast:>10.3f}{truth:>7.3f}"
        f"{coverage:>10.3f}{tries:>7.1f}  [{least:+.3f}]{f' not guided in {off} of {len(found)}' if off else ''}"
    )


def run(project: Project, likes: Likes, crowd: Crowd, votes: int, seed: int) -> Outcome:
    with opened(project) as guide:
        cast(guide, likes, crowd, votes, seed)
        return measure_guide(guide, likes, seed)


class WeightedModel(LiveModel):
    """Learns from votes by how much their samples stand for: less, the more often such a sample is shown."""

    weights: ClassVar[dict[Sample, float]] = {}

    def learn_from(self, samples: Sequence[Sample], judgements: Judgements, liked: np.ndarray) -> Learned:
        of_sample = np.append([self.weights.get(sample, 1.0) for sample in samples], 1.0)
        of_vote = of_sample[judgements.winners] * of_sample[judgements.losers]
        scale = judgements.weights.sum() / (judgements.weights @ of_vote)
        return super().learn_from(samples, replace(judgements, weights=judgements.weights * of_vote * scale), liked)


def learning_lines(project: Project, of_tastes: dict[str, Likes], runs: int) -> list[str]:
    """By which of 500 guided votes it is best learned what people like of what the model makes."""
    found: dict[str, list[tuple[float, float]]] = {"all votes alike": [], "weighted": [], "not chosen alone": []}
    for likes, seed in product([likes for name, likes in of_tastes.items() if name != "legible"], range(runs)):
        with opened(project) as guide:
            how: dict[Sample, ShownSample] = {}
            cast(guide, likes, Crowd(), 500, seed, shown=how)
            plain = plain_images(guide, FRESH + 1_000_000 * seed)
            own = guide.benchmark_labels(guide.in_form, plain.labels if guide.sampler.conditional else None)
            seen, truth = guide.views_of(guide.in_form.in_form(plain.images), own), likes(plain.images, plain.labels)
            live, events = guide.live, guide.live.events
            for name, of_kind in found.items():
                live.__class__ = WeightedModel if name == "weighted" else LiveModel
                WeightedModel.weights = {sample: one.weight for sample, one in how.items() if one.weight is not None}
                chosen = name == "not chosen alone"
                live.events = {key: vote for key, vote in events.items() if not (chosen and how[vote.sample].guided)}
                live.wait()
                live.learn()
                if live.model is not None:
                    liked = live.model.predict(seen)
                    of_kind.append((liked.mean() - votes_share(float(truth.mean())), order(liked, truth)))
    return [
        f"learned from {name:<18}error of `approval` {np.sqrt(np.mean([error**2 for error, _ in of_kind])):.3f} (mean "
        f"{np.mean([error for error, _ in of_kind]):+.3f}), right order {np.mean([auc for _, auc in of_kind]):.3f}, "
        f"{len(of_kind)} runs"
        for name, of_kind in found.items()
    ]


def order(predicted: np.ndarray, truth: np.ndarray) -> float:
    """The area under the ROC curve."""
    ranks = rankdata(predicted)
    liked = int(truth.sum())
    return float((ranks[truth].sum() - liked * (liked + 1) / 2) / max(liked * (len(truth) - liked), 1))


def opened(project: Project) -> Guide:
    """With a database of its own, without a vote."""
    folder = tempfile.mkdtemp(prefix="genloop-")
    own = project.with_variables({"GENLOOP_DATABASE_URL": f"sqlite:///{folder}/feedback.db"})
    params, registry = open_registry(own)
    return Guide.open(own, params, registry)


def cast(
    guide: Guide,
    likes: Likes,
    crowd: Crowd,
    votes: int,
    seed: int,
    rater: str | None = None,
    shown: dict[Sample, ShownSample] | None = None,
) -> list[float]:
    """Vote on grids, one after the other, each guided by the votes before; seconds of each vote.

    rater: who votes alone and by whose taste grids are guided; else the crowd does, by turns.
    shown: gets how samples were chosen.
    """
    random, seconds = np.random.default_rng([seed, rater is not None]), []
    start = datetime.now(UTC) - timedelta(days=30) + timedelta(seconds=4 * len(guide.live.events))
    first = len(guide.live.events)
    for done in range(0, votes, GRID):
        grid = guide.generate(GRID, rater=rater, seed=1_000_000 * (seed + 1) + first + done)
        if shown is not None:
            shown |= {one.sample: one for one in grid.shown()}
        numbers = (done + np.arange(GRID)) % crowd.raters
        said = crowd.votes(likes(grid.images, grid.labels), numbers, random)
        for place, (sample, liked) in enumerate(zip(grid.samples(), said.tolist(), strict=True)):
            vote = Vote(
                id=f"vote-{first + done + place}",
                type="vote",
                rater=rater or f"rater-{numbers[place]}",
                at=start + timedelta(seconds=4 * (done + place)),
                sample=sample,
                value=1 if liked else -1,
            )
            began = time.perf_counter()
            guide.vote(vote)
            seconds.append(time.perf_counter() - began)
    return seconds


def measure_guide(guide: Guide, likes: Likes, seed: int, rater: str | None = None) -> Outcome:
    first = FRESH + 1_000_000 * seed
    guided = guide.generate(SHOWN, rater=rater, seed=first)
    plain = plain_images(guide, first)
    how = guided.selection
    assert how is not None
    before = float(likes(plain.images, plain.labels).mean())
    return Outcome(
        before,
        float(likes(guided.images, guided.labels).mean()),
        votes_share(before) if how.forecast is None else how.forecast,
        reached(guide, guided) / reached(guide, plain),
        1.0 if how.tries is None else float(how.tries.mean()),
        guide.live.learned.missing,
    )


def plain_images(guide: Guide, first: int) -> GeneratedImages:
    """As many without guidance."""
    from operations.generate import generate

    return generate(guide.project, guide.params, guide.registry, SHOWN, None, first, guide.version)


def reached(guide: Guide, shown: GeneratedImages) -> float:
    """Coverage (Naeem et al., 2020): the share of held-out rows in whose ball, to their fifth neighbour, an image is."""
    real = guide.conditions.pinned.holdout.vectors[:5_000].astype(np.float64)
    near, _ = squared_distances(real, real)
    reach = np.partition(near, 5, axis=1)[:, 5]
    made = guide.conditions.extractor.extract(guide.in_form.in_form(shown.images)).vectors.astype(np.float64)
    return float((squared_distances(real, made)[0] <= reach[:, None]).any(axis=1).mean())


def votes_share(liked: float) -> float:
    """The share of votes that like, where one in ten is a mistake."""
    return MISTAKES + (1 - 2 * MISTAKES) * liked


def personal_line(project: Project, of_tastes: dict[str, Likes], votes: int, runs: int) -> str:
    """One rater likes lighter strokes where everybody likes heavier ones, and casts 50 votes: what is shown to that rater."""
    everybody = of_tastes["heavier strokes"]

    def own(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return ~everybody(images, labels)

    gains, five = [], []
    for seed in range(runs):
        with opened(project) as guide:
            cast(guide, everybody, Crowd(), 3 * votes, seed)
            before = measure_guide(guide, own, seed).guided
            cast(guide, own, Crowd(), 5 - 5 % GRID or GRID, seed, rater="ann")
            five.append(measure_guide(guide, own, seed, "ann").guided - before)
            cast(guide, own, Crowd(), 50 - GRID, seed, rater="ann")
            gains.append(measure_guide(guide, own, seed, "ann").guided - before)
    return (
        f"one rater's own taste, against everybody's: {np.mean(gains):+.3f} after 50 own votes (least {min(gains):+.3f}), "
        f"{np.mean(five):+.3f} after {GRID}"
    )


def speed(project: Project, likes: Likes) -> str:
    """Milliseconds of a vote with 10,000 before it, and of the next twelve pictures."""
    with opened(project) as guide:
        seconds = cast(guide, likes, Crowd(raters=50), 10_000, 0)
        late = 1000 * np.array(seconds[-1_000:])
        pictures = []
        for seed in range(20):
            began = time.perf_counter()
            guide.generate(12, seed=FRESH + 100 * seed)
            pictures.append(1000 * (time.perf_counter() - began))
    return (
        f"with 10,000 votes: a vote {np.median(late):.0f} ms, 95 of 100 within {np.quantile(late, 0.95):.0f} ms, the longest "
        f"{late.max():.0f} ms; the next 12 pictures {np.median(pictures):.0f} ms, the longest {max(pictures):.0f} ms"
    )


if __name__ == "__main__":
    main()
