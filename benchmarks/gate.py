"""What the gate promotes, against a plain comparison of two FIDs: retrainings, half trainings and fourfold ones, on digits.

    python -m benchmarks.gate                               # 40 pairs of each kind
    python -m benchmarks.gate --pairs 3 --out gatebench     # a quick try
    python -m benchmarks.gate_votes --out gatevotes         # the same of versions that learned from people's votes

A pair has a champion, trained for --steps, and a challenger: the same with another seed, or trained for half as long, or for
four times as long. The gate judges by the rules of params.yaml; the noise floor comes from trainings that are in no pair. The
plain comparison promotes where the challenger's FID, without its bias, is below the champion's. Nobody has voted here, so
`fid_preferred` of the rules is that FID. Models and their samples are kept in --out: a benchmark that was stopped goes on, and
judges every pair anew.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from unittest import mock

from benchmarks import measure, workspace
from pipelines import catalogue, noise
from pipelines.core import backend, files, processes
from pipelines.core.project import Project
from pipelines.promotion import gate
from pipelines.promotion.decisions import Contest
from pipelines.promotion.gate import BenchmarkSampler, Conditions, Contender, GateResult
from pipelines.promotion.rules import RuleResult
from pipelines.registry import sampler
from pipelines.registry.client import Registry
from pipelines.registry.versions import Version
from pipelines.scoring import generated
from pipelines.scoring.generated import GeneratedSamples
from pipelines.scoring.scores import Scores
from pipelines.settings.load import load_params, update_params
from pipelines.settings.schema import Params

BEFORE = ("ingest", "validate", "clean", "reference", "curate", "approval")
# Champions in the midst of learning, where four times the training is sure to be much better, of a family whose trainings
# differ little by their seed: with a `gan` of 300 steps the noise floor is as high as the champion's FID, and hides all gains.
SETTINGS = (
    "sources=[{type: digits}]",
    "image.size=16",
    "image.channels=1",
    "model.family=vae",
    "model.preset=tiny",
    "train.init=scratch",
    "train.batch_size=128",
    "evaluate.samples=1500",
)
STEPS = 200
WORDS = {"promote": 10, "reject": 10, "undecided": 11}  # and the widths of their columns
NOISE = 9000  # seed of the first training for the noise floor


@dataclass(frozen=True)
class Kind:
    """times: how long a challenger is trained, in trainings of a champion. first: seed; those of different kinds lie apart."""

    title: str
    times: float
    first: int
    bar: str
    reached: Callable[[float], bool]  # share of pairs promoted -> whether that is within the bar


KINDS = {
    "same": Kind("another seed", 1, 1001, "at most 5 %", lambda share: share <= 0.05),
    "worse": Kind("half the training", 0.5, 2001, "0", lambda share: share == 0),
    "better": Kind("four times the training", 4, 3001, "at least 90 %", lambda share: share >= 0.9),
}


@dataclass(frozen=True)
class Pair:
    """fids: of challenger and champion, by the samples of the first look."""

    kind: str
    number: int
    verdict: GateResult
    fids: tuple[float, float]

    @property
    def better_by_fid(self) -> bool:
        return self.fids[0] < self.fids[1]


class KeptContender(Contender):
    """A model of this benchmark in the place of a registered version; its samples and scores are kept."""

    known: dict[tuple[int, int, tuple[str, ...]], Scores] = {}  # noqa: RUF012

    def __init__(
        self, params: Params, registry: Registry, version: Version, conditions: Conditions, log: Callable[[str], None]
    ) -> None:
        super().__init__(params, registry, version, conditions_of(conditions.project.root), log)

    def kept_samples(self) -> None:
        return None

    def generate(self, first: int, count: int) -> GeneratedSamples:
        place = models(self.conditions.project) / str(self.version.number) / f"drawn-{first}-{count}.npz"
        if not place.exists():
            self.model = self.model or BenchmarkSampler(sampler.load(place.parent), self.conditions)
            generated.write(place, super().generate(first, count))
        return generated.read(place)

    def scores(self, metrics: Sequence[str]) -> Scores:
        key = self.version.number, len(self.samples), tuple(metrics)
        if key not in self.known:
            self.known[key] = super().scores(metrics)
        return self.known[key]


def models(project: Project) -> Path:
    return project.root / "models"


def version(number: int) -> Version:
    return Version(number, None, datetime.now(UTC), {}, {}, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40, help="of each kind")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a champion's training")
    parser.add_argument("--noise", type=int, help="trainings for the noise floor, by default promotion.noise")
    parser.add_argument("--out", type=Path, help="keep the models here, and go on with those that are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        folder = (options.out or Path(temporary)).absolute() / f"steps-{options.steps}"
        processes.set_defaults()
        prepare(folder, [*SETTINGS, f"train.steps={options.steps}"])
        project = Project.find(folder)
        backend.load()
        params = load_params(project.params_file)
        trainings = params.promotion.noise if options.noise is None else options.noise
        promotion = params.promotion.model_copy(update={"noise": trainings})
        pairs = judge_all(project, params.model_copy(update={"promotion": promotion}), options.pairs)
    print("\n" + "\n".join(table(pairs)))


def prepare(folder: Path, settings: Sequence[str]) -> None:
    """Make `folder` a project whose data is ready to train on, by the code that trains."""
    if (folder / "data/ready").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("params.yaml", "dvc.yaml"):  # by these a stage knows the project's root
        shutil.copy(workspace.REPOSITORY / name, folder)
    update_params(folder / "params.yaml", settings=settings)
    for stage in BEFORE:
        command = [workspace.PYTHON, "-m", f"pipelines.{stage}"]
        measure.run(command, folder, {"PYTHONPATH": str(workspace.REPOSITORY)})
    (folder / "data/ready").touch()


def judge_all(project: Project, params: Params, count: int) -> list[Pair]:
    """Every pair, and a line about it as soon as it is judged."""
    write_noise(project, params)
    registry = Registry.open(project, params.registry)
    print(
        f"{'pair':<9}{'fid':>10}{'of the champion':>17}{'95 % of the difference':>25}{'counts':>9}{'samples':>9}  gate",
        flush=True,
    )
    pairs = []
    for number in range(count):
        champion = train_model(project, params, 1 + number, 1)
        for name, kind in KINDS.items():
            challenger = train_model(project, params, kind.first + number, kind.times)
            contest = Contest(version(challenger), version(champion))
            with mock.patch.object(gate, "Contender", KeptContender):
                verdict = gate.judge(project, params, registry, contest, lambda line: None)
            pairs.append(Pair(name, number, verdict, (fid(params, challenger), fid(params, champion))))
            print(line(pairs[-1]), flush=True)
    return pairs


def train_model(project: Project, params: Params, seed: int, times: float) -> int:
    """Train a model for `times` times `train.steps`, in a folder named after its seed, which is returned as its version."""
    folder = models(project) / str(seed)
    if not (folder / "model.json").exists():
        from pipelines.models import base
        from pipelines.training import dataset, fit, hardware
        from pipelines.training.training_run import TrainingRun

        family_class = catalogue.get(catalogue.MODELS, params.model.family)
        rows = dataset.read(project, params, family_class.conditional)
        spec = base.ImageSpec(params.image.size, params.image.channels, len(rows.classes))
        steps = round(times * params.train.steps)
        training = params.train.model_copy(update={"seed": seed, "steps": steps, "preview_every": steps})
        with tempfile.TemporaryDirectory(prefix="genloop-") as temporary, redirect_stderr(io.StringIO()):
            family, place = base.build(family_class, spec, params.model.numbers, seed), Path(temporary)
            fit.fit(family, TrainingRun(rows, training, hardware.choose(training), place / "checkpoints", place / "logs"))
            with files.replacement(folder) as made:
                base.save(made, family, params.model.family, rows.classes)
    return seed


@cache
def conditions_of(folder: Path) -> Conditions:
    """The conditions of the gate, loaded once for all pairs, because they hold the extractor."""
    project = Project.find(folder)
    return Conditions.read(project, load_params(project.params_file), with_steps=False)


def write_noise(project: Project, params: Params) -> None:
    """data/noise.json, as the stage `noise` does."""
    registry = Registry.open(project, params.registry)
    metrics = sorted(set(gate.metrics_of(params.promotion.single_rules)) & set(catalogue.METRICS))
    by_seed = {}
    for seed in range(NOISE, NOISE + params.promotion.noise):
        model = version(train_model(project, params, seed, 1))
        by_seed[seed] = KeptContender(params, registry, model, conditions_of(project.root), lambda line: None).scores(metrics)
    if by_seed:
        noise.write(project.noise_floor, by_seed)


def fid(params: Params, model: int) -> float:
    """FID of a model, without its bias, by the samples that the gate scored first."""
    wanted = model, params.evaluate.samples
    first = (kept for (number, count, _), kept in KeptContender.known.items() if (number, count) == wanted)
    return next(scores.values["fid_preferred"].unbiased for scores in first)


def line(pair: Pair) -> str:
    fid = next(rule for rule in pair.verdict.rules if (rule.metric, rule.kind) == ("fid_preferred", "better"))
    between = f"{fid.low:+.4g} to {fid.high:+.4g}"
    figures = f"{pair.fids[0]:>10.4g}{pair.fids[1]:>17.4g}{between:>25}{fid.counts:>9.4g}{pair.verdict.samples:>9,}"
    others = ", ".join(describe_rule(rule) for rule in pair.verdict.rules if rule.verdict in ("reject", "undecided"))
    return f"{pair.kind:<7}{pair.number:>2}{figures}  {pair.verdict.verdict}{f' ({others})' if others else ''}"


def describe_rule(rule: RuleResult) -> str:
    return f"{rule.metric} {rule.verdict}"


def table(pairs: list[Pair]) -> list[str]:
    lines = [f"{'challenger':<26}{'pairs':>6}{'promoted':>10}{'rejected':>10}{'undecided':>11}{'by FID alone':>14}  bar"]
    for name, kind in KINDS.items():
        of_kind = [pair for pair in pairs if pair.kind == name]
        words = [pair.verdict.verdict for pair in of_kind]
        counts = "".join(f"{share(words.count(word), of_kind):>{width}}" for word, width in WORDS.items())
        reached = "reached" if kind.reached(words.count("promote") / len(words)) else "missed"
        by_fid = share(sum(pair.better_by_fid for pair in of_kind), of_kind)
        lines.append(f"{kind.title:<26}{len(of_kind):>6}{counts}{by_fid:>14}  {kind.bar}: {reached}")
    return lines


def share(count: int, of: Sequence[Pair]) -> str:
    return f"{count / len(of):.1%}"


if __name__ == "__main__":
    main()
