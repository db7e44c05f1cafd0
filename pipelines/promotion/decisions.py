"""What becomes of a new version: the gate judges it, its tags keep what was said, and the alias moves, or does not.

What is kept in the tags of the version is found again by whoever comes after a kill, or after a person's answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.core import files, paths, reports
from pipelines.core.errors import InputError
from pipelines.registry import client
from pipelines.registry.client import CHALLENGER, CHAMPION
from pipelines.scoring import approval
from pipelines.settings.schema import Params

TAG = "genloop.verdict"  # of a version: what the gate said of it last


@dataclass(frozen=True)
class Decision:
    """What the gate said of a version.

    figures: the verdict as JSON. why: a line for people, of each of its rules. basis: what it was judged by; where that has
    changed, it is judged anew. at: when. declined: who has said no to it since; empty where nobody has.
    """

    figures: dict[str, Any]
    why: list[str]
    basis: dict[str, Any]
    at: str
    declined: str = ""

    @property
    def word(self) -> str:
        return str(self.figures["verdict"])

    @property
    def challenger(self) -> int:
        return int(self.figures["challenger"])

    @property
    def champion(self) -> int | None:
        return self.figures["champion"]

    def reason(self) -> str:
        """In one line, for the history: what spoke for it, or against it."""
        rules = self.figures["rules"]
        same = [(rule, why) for rule, why in zip(rules, self.why, strict=True) if rule["verdict"] == self.word]
        # Of many rules that hold, those for which it takes the champion's place are worth saying.
        better = [pair for pair in same if self.word == "promote" and pair[0]["kind"] == "better"]
        parts = [f"{rule['metric']}: {why}" for rule, why in better or same]
        if rest := len(same) - len(parts):
            parts.append(f"{rest} other {'rule holds' if rest == 1 else 'rules hold'}")
        return "; ".join(parts) or ("no rule speaks against it" if self.word == "promote" else "no rule could be judged")


def sides(params: Params, version: int | None = None) -> tuple[int, int | None]:
    """The version that is to be promoted, by default the challenger, and the champion.

    Raises:
        InputError: there is none such, or it is champion already.
    """
    settle(params)
    champion = client.holder(params, CHAMPION)
    if version is None:
        version = client.holder(params, CHALLENGER)
        if version is None:
            there = f"version {champion} is champion" if champion else "nor a champion"
            words = "`genloop run` makes one, and --version N takes any version"
            raise InputError(f"{params.registry.model} has no challenger, {there}; {words}")
    client.version(params, version)
    if version == champion:
        raise InputError(f"version {version} of {params.registry.model} is champion already; --version N takes another one")
    return version, champion


def settle(params: Params) -> None:
    """Let history and alias agree before anything is judged: a promotion that was killed is finished first."""
    from pipelines.promotion import history

    history.settle(params)


def judge(params: Params, challenger: int, champion: int | None, say: Callable[[str], None]) -> Decision:
    """Ask the gate, whatever it has said before. The noise floor should have been measured by now."""
    from pipelines.promotion import gate

    by = basis(params, champion)
    verdict = gate.judge(params, challenger, champion, say)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Decision(verdict.as_json(), [rule.why for rule in verdict.rules], by, at)


def basis(params: Params, champion: int | None) -> dict[str, Any]:
    """What a verdict rests on. Features and rules give the same one each time; people's votes go on."""
    promotion = params.promotion
    found = {
        "champion": champion,
        "benchmark_id": reports.read("reference")["benchmark_id"],
        "rules": [rule.model_dump(mode="json") for rule in promotion.rules],
        "noise": promotion.noise,
        "max_samples": promotion.max_samples,
        "drawn": params.evaluate.model_dump(include={"seed", "samples"}),
        "files": {str(path): files.sha256(path) for path in (approval.MODEL, paths.NOISE) if path.exists()},
    }
    return found | ({"votes": votes()} if any(rule.metric == "online_approval" for rule in promotion.rules) else {})


def votes() -> int:
    """Events that there are."""
    from pipelines.feedback.sealed import manifest
    from pipelines.feedback.store import database

    if not database.reachable():
        return manifest.read().events

    from pipelines.feedback.store.event_store import Store

    with Store.open() as store:
        counts = store.counts()
    return counts.new + counts.folded


def remember(params: Params, decision: Decision) -> None:
    client.tag(params, decision.challenger, {TAG: json.dumps(asdict(decision))})


def known(params: Params, challenger: int, champion: int | None) -> Decision | None:
    """What the gate has said of this version, if it would say the same again."""
    found = said(client.version(params, challenger).tags)
    return found if found and found.basis == basis(params, champion) else None


def said(tags: dict[str, str]) -> Decision | None:
    """What the gate has said last of a version with these tags."""
    try:
        return Decision(**json.loads(tags[TAG]))
    except (KeyError, ValueError, TypeError):  # never judged, or by an earlier Genloop
        return None


def words(decision: Decision) -> str:
    """version 4 against champion 3: undecided (recall: it may be worse by more than 0.05 or not)"""
    return f"{against(decision)} ({decision.reason()})"


def against(decision: Decision) -> str:
    champion = f"against champion {decision.champion}" if decision.champion else "without a champion to compare with"
    return f"version {decision.challenger} {champion}: {decision.word}"


def rows(decision: Decision) -> list[dict[str, str]]:
    """A line of a table for each rule."""
    return [
        {
            "score": rule["metric"],
            "rule": f"{rule['kind']} {rule['margin']:g}".removesuffix(" 0"),
            "difference": number(rule["difference"]),
            "95 % interval": f"{number(rule['low'])} to {number(rule['high'])}" if rule["low"] is not None else "–",
            "verdict": rule["verdict"] or "–",
        }
        for rule in decision.figures["rules"]
    ]


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"  # a hyphen would be a list, where Markdown is read


def due(params: Params) -> bool:
    """Whether a run has to end with the gate: of the challenger it has not been asked, or its word has not been followed."""
    challenger, champion = client.holder(params, CHALLENGER), client.holder(params, CHAMPION)
    if challenger is None or challenger == champion:
        return False
    decision = known(params, challenger, champion)
    return decision is None or (decision.word == "promote" and not (decision.declined or params.promotion.require_approval))


def move(params: Params, decision: Decision, by: str, reason: str = "") -> None:
    """The alias moves to the version that the gate lets through.

    Raises:
        LostError: somebody else was faster.
    """
    from pipelines.promotion import moves

    figures, reason = decision.figures, reason or decision.reason()
    moves.move(params, decision.challenger, decision.champion, by, "promote", reason, figures, str(figures["benchmark_id"]))
