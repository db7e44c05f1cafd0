"""Verdicts of the gate, stored in the tags of the version that was judged, where a later process finds them, also after a kill
or after a person's answer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.core import files, reports
from pipelines.core.errors import InputError
from pipelines.core.numbers import three_digits
from pipelines.core.project import Project
from pipelines.promotion.rules import Verdict, joint_verdicts
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHALLENGER, CHAMPION, Version, VersionOutline
from pipelines.scoring import readings
from pipelines.settings.schema import Params

TAG = "genloop.verdict"  # of a version: the gate's last verdict on it


@dataclass(frozen=True)
class Contest:
    """Two versions, as they were when the registry was asked. champion: None where there is none yet."""

    challenger: Version
    champion: Version | None

    @property
    def champion_number(self) -> int | None:
        return self.champion.number if self.champion else None


@dataclass(frozen=True)
class Decision:
    """A verdict of the gate on a version, as its tag keeps it.

    figures: the verdict as JSON. why: a line for people, of each of its rules. basis: what it was judged by; where that has
    changed, it is judged anew. at: when. declined: who refused it since, and why; empty where nobody has.
    """

    figures: dict[str, Any]
    why: list[str]
    basis: dict[str, Any]
    at: str
    declined: str = ""

    @property
    def verdict(self) -> str:
        return str(self.figures["verdict"])

    @property
    def challenger(self) -> int:
        return int(self.figures["challenger"])

    @property
    def champion(self) -> int | None:
        return self.figures["champion"]

    def reason(self) -> str:
        """In one line, for the history: the rules that decided it."""
        rules, joint = self.figures["rules"], joint_verdicts_of(self.figures)
        each = zip(rules, self.why, joint, strict=True)
        same = [(rule, why) for rule, why, verdict in each if rule["verdict"] == verdict == self.verdict]
        # Of many rules that hold, those for which it takes the champion's place are worth saying.
        better = [pair for pair in same if self.verdict == "promote" and pair[0]["kind"] == "better"]
        parts = [f"{rule['metric']}: {why}" for rule, why in better or same]
        if rest := len(same) - len(parts):
            parts.append(f"{rest} other {'rule holds' if rest == 1 else 'rules hold'}")
        return "; ".join(parts) or ("no rule speaks against it" if self.verdict == "promote" else "no rule could be judged")


def contest(project: Project, registry: Registry, number: int | None = None) -> Contest:
    """The version that is to be promoted, by default the challenger, and the champion. A promotion that was killed is finished
    first.

    Raises:
        InputError: there is no such version, or it is champion already.
    """
    from pipelines.promotion import moves

    moves.settle(project, registry)
    aliases = registry.aliases()
    champion, number = aliases.get(CHAMPION), aliases.get(CHALLENGER) if number is None else number
    if number is None:
        state = f"version {champion} is champion" if champion else "nor a champion"
        advice = "`genloop run` makes one, and --version N takes any version"
        raise InputError(f"{registry.name} has no challenger, {state}; {advice}")
    challenger = registry.version(number)
    if number == champion:
        raise InputError(f"version {number} of {registry.name} is champion already; --version N takes another one")
    return Contest(challenger, registry.version(champion) if champion else None)


def challenger_contest(registry: Registry) -> Contest | None:
    """The challenger and the champion, where there is a challenger that is not champion as well."""
    aliases = registry.aliases()
    champion, challenger = aliases.get(CHAMPION), aliases.get(CHALLENGER)
    if challenger is None or challenger == champion:
        return None
    return Contest(registry.version(challenger), registry.version(champion) if champion else None)


def basis(project: Project, params: Params, contest: Contest) -> dict[str, Any]:
    """What a verdict rests on. Features and rules give the same one each time; people's votes go on."""
    from pipelines.scoring import approval  # here, because a run that has nothing to judge needs no numpy

    promotion = params.promotion
    learned = (approval.weights_file(project.approval), approval.holdout_file(project.approval), project.noise_floor)
    found = {
        "champion": contest.champion_number,
        "benchmark_id": reports.read(project.reports, "reference")["benchmark_id"],
        "rules": [rule.model_dump(mode="json") for rule in promotion.rules],
        "noise": promotion.noise,
        "max_samples": promotion.max_samples,
        "drawn": params.evaluate.model_dump(include={"seed", "samples"}),
        "files": {str(project.relative(path)): files.sha256(path) for path in learned if path.exists()},
    }
    return found | (
        {"votes": votes(project)} if any(rule.metric == "online_approval" for rule in promotion.single_rules) else {}
    )


def votes(project: Project) -> int:
    """The number of events."""
    from pipelines.feedback.sealed import manifest
    from pipelines.feedback.store import database

    if not database.reachable(project.database_url):
        return manifest.read(project.manifest).events

    from pipelines.feedback.store.event_store import EventStore

    with EventStore.open(project.database_url) as store:
        counts = store.counts()
    return counts.new + counts.folded


def joint_verdicts_of(figures: dict[str, Any]) -> list[Verdict | None]:
    """For each rule the verdict that it stands for: that of its `any`, where it is a part of one."""
    return joint_verdicts([(rule["verdict"], rule.get("any")) for rule in figures["rules"]])


def remember(registry: Registry, decision: Decision) -> None:
    registry.tag(decision.challenger, {TAG: json.dumps(asdict(decision))})


def find_valid(project: Project, params: Params, contest: Contest) -> Decision | None:
    """The verdict on this challenger, where the gate would give the same one again."""
    decision = latest(contest.challenger)
    return decision if decision and decision.basis == basis(project, params, contest) else None


def latest(version: Version | VersionOutline) -> Decision | None:
    """The last verdict of the gate on a version."""
    try:
        return Decision(**json.loads(version.tags[TAG]))
    except (KeyError, ValueError, TypeError):  # never judged, or by an earlier Genloop
        return None


def summary(decision: Decision) -> str:
    """version 4 against champion 3: undecided (recall: it may be worse by more than 0.05 or not)"""
    return f"{headline(decision)} ({decision.reason()})"


def headline(decision: Decision) -> str:
    champion = f"against champion {decision.champion}" if decision.champion else "without a champion to compare with"
    return f"version {decision.challenger} {champion}: {decision.verdict}"


def table_rows(decision: Decision) -> list[dict[str, str]]:
    """A row of a table for each rule."""
    return [
        {
            "score": readings.unbiased_key(rule["metric"]),
            "rule": (f"any {rule['any']}: " if "any" in rule else "") + f"{rule['kind']} {rule['margin']:g}".removesuffix(" 0"),
            "difference": format_number(rule["difference"]),
            "95 % interval": "–" if rule["low"] is None else " to ".join(format_number(rule[end]) for end in ("low", "high")),
            "verdict": rule["verdict"] or "–",
        }
        for rule in decision.figures["rules"]
    ]


def format_number(value: float | None) -> str:
    return "–" if value is None else three_digits(value)  # a hyphen would be a list, where Markdown is read


def is_due(project: Project, params: Params, registry: Registry) -> bool:
    """Whether a run has to end with the gate: it has not judged the challenger, or its verdict has not been followed."""
    contest = challenger_contest(registry)
    if contest is None:
        return False
    decision = find_valid(project, params, contest)
    return decision is None or (decision.verdict == "promote" and not (decision.declined or params.promotion.require_approval))
