"""The gate: judges a challenger against the champion, each rule by the interval of the difference, under one benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.core.form import Form
from pipelines.core.numbers import three_digits
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.features.base import Extractor
from pipelines.metrics import intervals
from pipelines.metrics.inputs import Benchmark
from pipelines.metrics.intervals import LEVEL
from pipelines.promotion import online_approval, rules
from pipelines.promotion.decisions import Contest
from pipelines.promotion.online_approval import OnlineApproval
from pipelines.promotion.rules import RuleResult, Verdict
from pipelines.registry.client import Registry
from pipelines.registry.versions import Version
from pipelines.scoring import approval, benchmark, generated, noise_floor, scores
from pipelines.scoring.generated import GeneratedSamples
from pipelines.scoring.noise_floor import NoiseFloor
from pipelines.scoring.scores import Scores
from pipelines.settings.schema import Params, PromotionRule

KEYS = ("metric", "kind", "margin", "difference", "low", "high", "verdict")  # of a rule in JSON: other programs rely on them


@dataclass(frozen=True)
class GateResult:
    """The verdict, and what it rests on.

    champion: None where there is none yet. samples: generated with each of the two. noise: trainings that the noise floor was
    measured on, 0 where there is none.
    """

    verdict: Verdict
    champion: int | None
    challenger: int
    benchmark_id: str
    samples: int
    rules: list[RuleResult]
    noise: int

    def as_json(self) -> dict[str, Any]:
        """Numbers are finite or None."""
        return {
            "verdict": self.verdict,
            "champion": self.champion,
            "challenger": self.challenger,
            "benchmark_id": self.benchmark_id,
            "rules": [
                {key: finite(getattr(rule, key)) for key in KEYS} | ({"any": rule.group} if rule.group else {})
                for rule in self.rules
            ],
            "samples": self.samples,
            "noise": self.noise,
        }


def finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def judge(project: Project, params: Params, registry: Registry, contest: Contest, log: Callable[[str], None]) -> GateResult:
    """The verdict by the rules of `params`; more samples are generated while it is undecided.

    Args:
        log: gets a line about what takes time.

    Raises:
        InputError: there is no benchmark to judge by, or a rule that cannot be judged.
    """
    challenger, champion = contest.challenger, contest.champion
    if challenger.number == contest.champion_number:
        raise InputError(f"version {challenger.number} is the champion already; name another version")
    declared = params.promotion.single_rules
    compared = [rule for rule in declared if rule.kind not in rules.ABSOLUTE]
    of_challenger = metrics_of(declared if champion else [rule for rule in declared if rule not in compared])
    conditions = Conditions.read(project, params, catalogue.need_latent_steps(of_challenger))
    pinned = conditions.pinned
    floor = usable_floor(project, params, pinned, log) if champion else None
    votes = None
    if champion and any(rule.metric in catalogue.VOTE_SCORES for rule in declared):
        start = max(challenger.created, champion.created)
        votes = online_approval.difference(project, challenger.number, champion.number, start)
    approval_known = approval.read(project.approval) is not None

    first = Contender(params, registry, challenger, conditions, log)
    second = Contender(params, registry, champion, conditions, log) if champion else None
    while True:
        new, old = first.scores(of_challenger), second.scores(metrics_of(compared)) if second else None
        evidence = Evidence(new, old, floor, votes, approval_known)
        results = rules.judge_all(params.promotion.rules, partial(judge_rule, evidence))
        verdict = rules.combine(results, champion is not None)
        count = len(first.samples)
        more = min(count, params.promotion.max_samples - count)
        if verdict != "undecided" or not is_decidable(results):
            break
        if more <= 0:
            log(f"still undecided with {count:,} samples of each, and promotion.max_samples allows no more")
            break
        log(f"undecided with {count:,} samples of each: {more:,} more are generated")
        for contender in (first, second):
            if contender:
                contender.generate_more(more)
    trainings = len(floor.trainings) if floor else 0
    return GateResult(verdict, contest.champion_number, challenger.number, pinned.id, count, results, trainings)


def metrics_of(declared: Sequence[PromotionRule]) -> list[str]:
    """The metrics that these rules need, each once."""
    names = (rule.metric for rule in declared if rule.metric not in catalogue.VOTE_SCORES)
    return list(dict.fromkeys(map(catalogue.metric_of, names)))


def usable_floor(project: Project, params: Params, pinned: Benchmark, log: Callable[[str], None]) -> NoiseFloor | None:
    """The noise floor, where params ask for it and it was measured by this benchmark; by what people like now, if it can be."""
    if not params.promotion.noise or not params.model.trains:  # of only a sampler there is no training with another seed
        return None
    floor = noise_floor.read(project.noise_floor)
    if floor is None or floor.benchmark_id != pinned.id:
        when = "has not been measured" if floor is None else f"was measured by benchmark {floor.benchmark_id}"
        log(f"the noise floor {when}: differences that another seed makes count as real ones (`genloop promote` measures it)")
        return None
    return noise_floor.by_present_taste(project, floor, pinned, metrics_of(params.promotion.single_rules))


@dataclass(frozen=True)
class Evidence:
    """new, old: scores of the challenger and the champion. votes: None where nobody has voted on both.

    approval_known: whether what people like has been learned from their votes.
    """

    new: Scores
    old: Scores | None
    floor: NoiseFloor | None
    votes: OnlineApproval | None
    approval_known: bool


def judge_rule(evidence: Evidence, rule: PromotionRule, level: float = LEVEL) -> RuleResult:
    name, compared = rule.metric, rule.kind not in rules.ABSOLUTE
    new, old, floor = evidence.new, evidence.old, evidence.floor
    if compared and old is None:
        return rules.uncounted_result(rule, "no champion yet to compare with")
    if name in catalogue.VOTE_SCORES and evidence.votes:
        return judge_votes(rule, evidence.votes, level)
    if name in catalogue.VOTE_SCORES:
        return rules.uncounted_result(rule, "nobody has voted on both yet")
    if name == "approval" and not evidence.approval_known:
        return rules.uncounted_result(rule, rules.NO_VOTES)
    for alias, scored in (("challenger", new), ("champion", old if compared else None)):
        if scored is not None and name not in scored.values:
            metric = catalogue.metric_of(name)
            why = scored.missing.get(metric, f"there is no {name} of this model and data")
            if metric in scored.nothing and rule.kind == "at_most":
                return rules.uncounted_result(rule, f"of the {alias}: {why}")
            return rules.undecided_result(rule, f"of the {alias}: {why}")
    if old is None or not compared:
        return rules.judge_limit(rule, new.values[name].unbiased, new.values[name].interval_at(level))
    middle, interval = scores.difference(new, old, name, level)
    least = floor.floor(name, level) if floor else 0.0
    if least is None and rule.kind == "better":
        return rules.undecided_result(rule, f"the noise floor knows no {name}; `genloop promote` measures it anew")
    if rule.relative is None:
        return rules.judge_difference(rule, middle, interval, least or 0.0)
    own = max(old.values[name].unbiased, 0.0)
    resolved = rule.model_copy(update={"margin": rule.relative * own})
    result = rules.judge_difference(resolved, middle, interval, least or 0.0)
    return replace(result, why=f"{result.why}; its margin is {rule.relative:g} times the champion's {three_digits(own)}")


def judge_votes(rule: PromotionRule, votes: OnlineApproval, level: float) -> RuleResult:
    result = rules.judge_difference(rule, votes.difference, intervals.widen(votes.difference, votes.interval, level))
    return replace(result, why=f"{result.why}, say {votes.pairs:,} pairs of votes by {votes.raters:,} people")


def is_decidable(results: Sequence[RuleResult]) -> bool:
    """Whether more samples may decide what is undecided."""
    joint = rules.joint_verdicts([(rule.verdict, rule.group) for rule in results])
    undecided = (rule for rule, verdict in zip(results, joint, strict=True) if rule.verdict == verdict == "undecided")
    return any(catalogue.rule_scores()[rule.metric].narrows for rule in undecided)


@dataclass(frozen=True)
class Conditions:
    """What every version is judged under. with_steps: whether steps through the latent space are measured as well."""

    project: Project
    pinned: Benchmark
    form: Form
    with_steps: bool

    @classmethod
    def read(cls, project: Project, params: Params, with_steps: bool) -> Conditions:
        """Raises InputError where there is no benchmark."""
        return cls(project, benchmark.read_pinned(project.reference), replace(params.form, denoise="none"), with_steps)

    @cached_property
    def extractor(self) -> Extractor:
        """That of the benchmark, loaded when there are generated images to extract from."""
        backend.load()
        return benchmark.read_extractor(self.project.reference)


class Contender:
    """A version that the gate judges, with its samples as features under the benchmark; loaded only if it has to generate."""

    def __init__(
        self, params: Params, registry: Registry, version: Version, conditions: Conditions, log: Callable[[str], None]
    ) -> None:
        self.params, self.registry, self.version, self.conditions, self.log = params, registry, version, conditions, log
        self.model: BenchmarkSampler | None = None
        self.samples = self.kept_samples() or self.generate(params.evaluate.seed, params.evaluate.samples)

    def scores(self, metrics: Sequence[str]) -> Scores:
        comparison = generated.comparison(self.samples, self.conditions.pinned, self.conditions.project.approval)
        return scores.measure(comparison, metrics)

    def generate_more(self, count: int) -> None:
        """Generate `count` more, of the seeds that follow."""
        self.samples = generated.join(self.samples, self.generate(self.samples.first + len(self.samples), count))

    def kept_samples(self) -> GeneratedSamples | None:
        """The samples of `evaluate`, if they are what would be generated now."""
        with TemporaryFolder() as folder:
            path = self.registry.artifact(self.version, generated.NAME, Path(folder))
            try:
                samples = generated.read(path) if path else None
            except InputError:
                samples = None
        why = "its samples are not kept with it" if samples is None else self.mismatch(samples)
        if why:
            self.log(f"version {self.version.number} is scored again: {why}")
        return None if why else samples

    def mismatch(self, samples: GeneratedSamples) -> str:
        """Why these are not the samples that would be generated now; empty where they are."""
        pinned, evaluate = self.conditions.pinned, self.params.evaluate
        if samples.benchmark_id != pinned.id:
            return f"its scores are by benchmark {samples.benchmark_id}, and the benchmark is {pinned.id} now"
        if (samples.first, len(samples)) != (evaluate.seed, evaluate.samples):
            asked = f"evaluate asks for {evaluate.samples:,} from {evaluate.seed} on now"
            return f"it has {len(samples):,} samples from seed {samples.first} on, and {asked}"
        labels = generated.holdout_labels(pinned.labels, len(samples))
        if samples.labels is not None and not np.array_equal(samples.labels, labels):
            return "the classes of the held-out rows have changed"
        if self.conditions.with_steps and samples.steps is None and not samples.no_steps:
            return "steps through its latent space are asked for now"
        return ""

    def generate(self, first: int, count: int) -> GeneratedSamples:
        if self.model is None:
            self.model = BenchmarkSampler(self.registry.load(self.version.number), self.conditions)
        self.log(f"version {self.version.number} generates {count:,} samples")
        labels, with_steps = self.model.labels(count), self.conditions.with_steps
        extractor, pinned = self.conditions.extractor, self.conditions.pinned
        return generated.generate_samples(self.model, extractor, pinned.id, first, count, labels, with_steps)[1]


class BenchmarkSampler:
    """A version's own code and weights, whose images are brought to the benchmark's form, and its classes to the benchmark's
    numbers: settings may have changed since it was trained."""

    def __init__(self, sampler: Any, conditions: Conditions) -> None:
        self.sampler, self.pinned, self.form = sampler, conditions.pinned, conditions.form
        own = list(sampler.classes) if sampler.conditional else []
        self.own = np.array([own.index(name) if name in own else -1 for name in self.pinned.classes], np.int32)

    @property
    def walks(self) -> bool:
        """Whether the version has a way from one image to another."""
        return bool(self.sampler.walks)

    def labels(self, count: int) -> np.ndarray | None:
        """(count,) int32, the benchmark's classes in the holdout's shares, as far as the version knows them."""
        known = np.append(self.own, -1)[self.pinned.labels] >= 0  # -1 is no class, and so the last
        return generated.holdout_labels(self.pinned.labels[known], count) if known.any() else None

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return self.in_form(self.sampler.draw(seeds, self.own_labels(labels)))

    def draw_prompts(self, seeds: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        return self.in_form(self.sampler.draw_prompts(seeds, prompts))

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return self.in_form(self.sampler.walk(seeds, others, at, self.own_labels(labels)))

    def own_labels(self, labels: np.ndarray | None) -> np.ndarray | None:
        return None if labels is None else self.own[labels]

    def in_form(self, images: np.ndarray) -> np.ndarray:
        if images.shape[1:] == self.form.shape:
            return images
        return np.stack([self.form.apply(image) for image in images])
