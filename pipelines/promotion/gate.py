"""Whether a challenger takes the champion's place: each rule by the interval of the difference, under one benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipelines.core import paths
from pipelines.core.errors import InputError
from pipelines.promotion import noise_floor, online_approval, rules
from pipelines.promotion.candidates import Candidate, Sight
from pipelines.promotion.noise_floor import Noise
from pipelines.promotion.online_approval import Online
from pipelines.promotion.rules import Judged
from pipelines.promotion.verdict import Verdict
from pipelines.registry import client
from pipelines.scoring import approval, benchmark, scores
from pipelines.scoring.image_sets import Form
from pipelines.scoring.scores import YIELDED_BY, Scores
from pipelines.settings.schema import Params, PromotionRule

ONLINE = "online_approval"  # the one score that is people's own word, not measured on what is drawn here


def judge(params: Params, challenger: int, champion: int | None, say: Callable[[str], None]) -> Verdict:
    """What the rules of `params` say; draws more samples while they are undecided.

    Args:
        challenger, champion: numbers of versions. say: told in a line what takes time.

    Raises:
        InputError: there is no such version, no benchmark to judge by, or a rule that cannot be judged.
    """
    if challenger == champion:
        raise InputError(f"version {champion} is the champion already; name another version")
    asked = params.promotion.rules
    relative = [rule for rule in asked if rule.kind not in rules.ABSOLUTE]
    of_challenger = needed(asked if champion is not None else [rule for rule in asked if rule not in relative])
    pinned = benchmark.read_pinned(paths.REFERENCE)
    form = Form(**params.image.model_dump(), **params.clean.model_dump(include={"fit", "filter"}))
    sight = Sight(pinned, form, "path_length" in of_challenger)
    floor = floors(params, pinned.id, say) if champion is not None else None
    said = None
    if champion is not None and any(rule.metric == ONLINE for rule in asked):
        since = max(client.version(params, number).created for number in (challenger, champion))
        said = online_approval.difference(challenger, champion, since)

    first = Candidate(params, challenger, sight, say)
    second = Candidate(params, champion, sight, say) if champion is not None else None
    while True:
        new, old = first.scores(of_challenger), second.scores(needed(relative)) if second else None
        judged = [judge_one(rule, new, old, floor, said) for rule in asked]
        word = rules.overall(judged, champion is not None)
        count = len(first.draws)
        more = min(count, params.promotion.max_samples - count)
        if word != "undecided" or not any(open_to_more(rule) for rule in judged):
            break
        if more <= 0:
            say(f"still undecided with {count:,} samples of each, and promotion.max_samples allows no more")
            break
        say(f"undecided with {count:,} samples of each: {more:,} more are drawn")
        for candidate in (first, second):
            if candidate is not None:
                candidate.more(more)
    return Verdict(word, champion, challenger, pinned.id, count, judged, len(floor.trainings) if floor else 0)


def needed(asked: Sequence[PromotionRule]) -> list[str]:
    """The metrics that these rules need, each once."""
    return list(dict.fromkeys(YIELDED_BY.get(rule.metric, rule.metric) for rule in asked if rule.metric != ONLINE))


def floors(params: Params, benchmark_id: str, say: Callable[[str], None]) -> Noise | None:
    """The noise floor, where it is wanted and was measured by this benchmark."""
    if not params.promotion.noise:
        return None
    found = noise_floor.read()
    if found is None or found.benchmark_id != benchmark_id:
        when = "has not been measured" if found is None else f"was measured by benchmark {found.benchmark_id}"
        say(f"the noise floor {when}: differences that another seed makes count as real ones (`genloop promote` measures it)")
        return None
    return found


def judge_one(rule: PromotionRule, new: Scores, old: Scores | None, floor: Noise | None, said: Online | None) -> Judged:
    name, compared = rule.metric, rule.kind not in rules.ABSOLUTE
    if compared and old is None:
        return rules.unjudged(rule, "no champion yet to compare with")
    if name == ONLINE:
        return by_votes(rule, said) if said else rules.unjudged(rule, "nobody has voted on both yet")
    if name == "approval" and approval.read() is None:
        return rules.unjudged(rule, rules.NOBODY)
    for whose, scored in (("challenger", new), ("champion", old if compared else None)):
        if scored is not None and name not in scored.values:
            why = scored.missing.get(YIELDED_BY.get(name, name), f"there is no {name} of this model and data")
            return rules.unknown(rule, f"of the {whose}: {why}")
    if old is None or not compared:
        return rules.absolute(rule, new.values[name].value, new.values[name].interval)
    middle, interval = scores.difference(new, old, name)
    least = floor.floor(name) if floor else 0.0
    if least is None and rule.kind == "better":
        return rules.unknown(rule, f"the noise floor knows no {name}; `genloop promote` measures it anew")
    return rules.relative(rule, middle, interval, least or 0.0)


def by_votes(rule: PromotionRule, said: Online) -> Judged:
    judged = rules.relative(rule, said.difference, said.interval)
    return replace(judged, why=f"{judged.why}, say {said.pairs:,} pairs of votes by {said.raters:,} people")


def open_to_more(rule: Judged) -> bool:
    """Whether more samples may decide it: those of people's votes, and of shares of the real rows, do not narrow it."""
    return rule.verdict == "undecided" and rule.metric not in (ONLINE, "recall", "coverage")
