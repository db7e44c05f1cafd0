"""The live model of what people like: the stage `approval`'s model, learned again at each vote.

It goes by the same rules of credibility, the same views of images and the same fit, so that once everything is folded the
stage finds the same. All of that takes up to seconds, so it is done when there are a twentieth more judgements, from some
hundreds on in a thread of its own. Meanwhile a vote moves the last fit, which a Gaussian about it sums up (Laplace's
approximation), with the penalty, the calibration and the reliability of raters that were found then: in milliseconds, however
many have voted.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
import pyarrow as pa

from pipelines.curation import credibility
from pipelines.curation.images import MeasuredImage
from pipelines.curation.writing import judgement_columns
from pipelines.feedback import curated
from pipelines.feedback.events import Choice, Event, Sample, Vote
from pipelines.metrics.intervals import Estimate
from pipelines.preference import fit, newton
from pipelines.preference.fit import CHANCE, FittedPreference, Spread
from pipelines.preference.judgements import LEAST, UNIT, Judgements, gather, shortage
from pipelines.preference.model import PreferenceModel
from pipelines.scoring.approval import ApprovalModel

GROWTH = 20  # one more in so many, and everything is learned anew
SLOW = 1_000  # judgements, from which on that takes longer than anybody should wait for
MOST = 20_000  # judgements, the newest, that a full fit is of: more take minutes and hardly make it surer
MOST_MORE = 10  # times the judgements that there are, at most, are said to be lacking

Judgement = Vote | Choice


@dataclass(frozen=True)
class Learned:
    """What the last full fit found.

    why: what is known, in words. missing: about how many judgements are lacking until enough is known. fitted: None before.
    second: a model of thumbnails, to be asked for its opinion; None where nothing is surely known by these alone.
    theta: (d + 1,) float64, direction and bias of the fit, and precision: (d + 1, d + 1), how surely the judgements say so.
    weight: of all judgements together.
    reliability: of each rater. judgements: how many it learned from.
    """

    why: str
    missing: int
    fitted: FittedPreference | None = None
    second: ApprovalModel | None = None
    theta: np.ndarray | None = None
    precision: np.ndarray | None = None
    weight: float = 0.0
    reliability: dict[str, float] | None = None
    judgements: int = 0


class LiveModel:
    """Learns from votes and choices about samples whose views it was given.

    >>> live.remember(samples, views)
    >>> live.add([vote])
    >>> live.learn()
    >>> live.model.predict(views)
    """

    def __init__(
        self, real: Spread, thumbnails: Spread, benchmark_id: str, experts: Collection[str], max_rater_share: float
    ) -> None:
        """real, thumbnails: of the views and the thumbnails of real rows. experts, max_rater_share: as in params.feedback."""
        self.real, self.real_thumbnails = real, thumbnails
        self.benchmark_id, self.experts, self.share = benchmark_id, experts, max_rater_share
        self.seen: dict[Sample, tuple[np.ndarray, np.ndarray]] = {}  # views and thumbnail
        self.events: dict[str, Judgement] = {}
        self.last: dict[tuple[str, frozenset[Sample]], str] = {}  # by rater and samples, the event that counts
        self.raters: dict[str, dict[str, Judgement]] = {}  # `events` by rater
        self.learned = Learned("no votes yet", LEAST)
        self.model: ApprovalModel | None = None
        self.theta: np.ndarray | None = None  # (d + 1,) of `model`, before calibration
        self.since: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # `rows_of` each judgement since the full fit
        self.added: dict[str, float] = {}  # weight of each rater's votes since then
        self.lock = threading.RLock()
        self.thread: threading.Thread | None = None

    def remember(self, samples: Sequence[Sample], views: np.ndarray, thumbnails: np.ndarray) -> None:
        """Keep what judgements of samples are learned by: views (n, v) float32, and thumbnails (n, t) float32."""
        for sample, seen, thumbnail in zip(samples, views, thumbnails, strict=True):
            self.seen.setdefault(sample, (seen, thumbnail))

    def knows(self, sample: Sample) -> bool:
        return sample in self.seen

    def judgements_of(self, rater: str) -> list[Judgement]:
        return list(self.raters.get(rater, {}).values())

    def add(self, events: Iterable[Event]) -> None:
        """Learn from more events; those that are no judgements, or of samples whose views are not known, change nothing."""
        new = [event for event in events if isinstance(event, Judgement) and event.id not in self.events]
        new = [event for event in new if all(map(self.knows, samples_of(event)))]
        with self.lock:
            for event in new:
                self.replace_earlier(event)
            if new:
                self.update([event for event in new if event.id in self.events])
        if not self.is_due:
            return
        if self.learned.judgements < SLOW:
            self.learn()
        elif self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=self.learn, daemon=True)
            self.thread.start()

    def replace_earlier(self, event: Judgement) -> None:
        """Take in an event. What its rater said of the same samples before counts no more, as in the stage `approval`."""
        key = event.rater, frozenset(samples_of(event))
        before = self.last.get(key)
        if before is not None and before in self.events:
            if (self.events[before].at, before) > (event.at, event.id):
                return
            self.remove(before)
            self.since.pop(before, None)
        self.last[key] = event.id
        self.events[event.id] = event
        self.raters.setdefault(event.rater, {})[event.id] = event

    def remove(self, name: str) -> Judgement | None:
        """Take out an event; None where there is none of that id."""
        event = self.events.pop(name, None)
        if event is not None:
            own = self.raters[event.rater]
            del own[name]
            if not own:
                del self.raters[event.rater]
        return event

    def wait(self) -> None:
        """Until a full fit that is going on has ended."""
        if self.thread is not None:
            self.thread.join()

    def withdraw(self, name: str) -> None:
        """Unlearn one event; where the last full fit has learned from it, and a new one takes long, the next one does."""
        with self.lock:
            known = self.remove(name)
            if known is not None and (rows := self.since.pop(name, None)) is not None:
                self.added[known.rater] = self.added.get(known.rater, 0.0) - float(rows[1].sum())
                self.update([])
                return
        if known is not None and self.learned.judgements < SLOW:
            self.learn()

    def forget(self, rater: str) -> None:
        self.wait()
        with self.lock:
            self.drop(list(self.raters.get(rater, ())))
        self.learn()

    @property
    def is_due(self) -> bool:
        """Whether so many judgements have come since the last full fit that it has to be done again."""
        before, now = self.learned.judgements, len(self.events)
        return now - before > before // GROWTH or before < LEAST <= now

    def learn(self) -> None:
        """The full fit, and then the judgements that have come meanwhile."""
        while True:
            with self.lock:
                events = dict(self.events)
            newest = sorted(events.values(), key=lambda event: (event.at, event.id))[-MOST:]
            learned = self.study(newest)
            if events.keys() <= self.events.keys() or learned.judgements >= SLOW:  # none was withdrawn meanwhile
                break
        with self.lock:
            self.drop(events.keys() - {event.id for event in newest})  # a studio runs for months
            self.learned, self.theta, self.since, self.added = learned, learned.theta, {}, {}
            self.model = None
            if learned.fitted is not None:
                self.model = self.as_approval(learned.fitted.model)
            if meanwhile := [event for name, event in self.events.items() if name not in events]:
                self.update(meanwhile)

    def drop(self, names: Collection[str]) -> None:
        """Keep nothing of these events, nor of samples that no other event is about."""
        if not names:
            return
        gone = [event for event in map(self.remove, names) if event is not None]
        for event in gone:
            self.last.pop((event.rater, frozenset(samples_of(event))), None)
        dropped = {sample for event in gone for sample in samples_of(event)}
        for sample in dropped - {sample for event in self.events.values() for sample in samples_of(event)}:
            self.seen.pop(sample, None)

    def study(self, events: Sequence[Judgement]) -> Learned:
        """Who is credible, what they like, and how surely that is known. events: oldest first."""
        images: dict[Sample | str, MeasuredImage] = dict.fromkeys(list(self.seen), MeasuredImage(1))
        credible = credibility.assess(events, images, self.experts, self.share)
        samples = sorted(credible.liked, key=attrgetter("key"))
        columns = judgement_columns(credible, {sample: number for number, sample in enumerate(samples)})
        votes, choices = (curated.build_table(name, columns[name]) for name in ("votes", "choices"))
        schema = pa.schema([curated.SCHEMAS["samples"].field(name) for name in UNIT])
        keys = pa.table({name: [getattr(sample, name) for sample in samples] for name in UNIT}, schema=schema)
        judgements, numbers = gather(keys, votes, choices)
        liked = np.array([credible.liked[sample] for sample in samples], np.float32)[numbers]
        found = self.learn_from([samples[number] for number in numbers], judgements, liked)
        return replace(found, reliability=credible.reliability, judgements=len(events))

    def learn_from(self, samples: Sequence[Sample], judgements: Judgements, liked: np.ndarray) -> Learned:
        """samples: n judged ones. liked: (n,) float32, the probability that it is right to like each."""
        count, liked = len(judgements), liked.astype(np.float64)
        if (why := shortage(judgements)) is not None:
            return Learned(why, max(LEAST - count, 1))
        views, thumbnails = (np.stack(kind) for kind in zip(*map(self.seen.__getitem__, samples), strict=True))
        fitted = fit.learn(views, judgements, self.real, liked)
        if not fitted.significant:
            why = f"{count:,} judgements agree on nothing that images have in common"
            return Learned(why, lacking(fitted.auc, count))
        second = fit.learn(thumbnails, judgements, self.real_thumbnails, liked)
        features = (views - fitted.mean) / fitted.scale
        counted = judgements.soften_votes(liked).informative()
        precision = newton.precision_at(features, counted, fitted.fitted, fitted.penalty)
        return Learned(
            f"{count:,} judgements",
            0,
            fitted,
            self.as_approval(second.model) if second.significant else None,
            np.append(fitted.fitted.direction, fitted.fitted.bias),
            precision,
            float(counted.weights.sum()),
        )

    def update(self, events: Sequence[Judgement]) -> None:
        """Move the last full fit by what has come since, of which `events` are the latest.

        What it was fitted to is summed up by a Gaussian about it, so that a vote costs the same however many were cast before.
        """
        learned = self.learned
        if learned.fitted is None or learned.theta is None or learned.precision is None or self.theta is None:
            return
        self.since |= {event.id: self.rows_of(event) for event in events}
        if self.since:
            rows, weights = (np.concatenate(parts) for parts in zip(*self.since.values(), strict=True))
            self.theta = newton.fit(rows, weights, learned.precision, self.theta, learned.theta).theta
        else:
            self.theta = learned.theta
        self.model = self.as_approval(learned.fitted.calibrated(PreferenceModel(self.theta[:-1], float(self.theta[-1]))))

    def as_approval(self, model: PreferenceModel) -> ApprovalModel:
        return ApprovalModel(model.direction, model.bias, self.benchmark_id)

    def rows_of(self, event: Judgement) -> tuple[np.ndarray, np.ndarray]:
        """(2, d + 1) and (2,): the judgement and its opposite, with the weights that its rater's reliability gives them."""
        winner, loser = (None if sample is None else self.features_of([sample])[0] for sample in sides_of(event))
        difference = (0 if winner is None else winner) - (0 if loser is None else loser)
        reliability = self.learned.reliability or {}
        known = list(reliability.values())
        weight = reliability.get(event.rater, sum(known) / len(known) if known else 0.5)
        total = self.added.get(event.rater, 0.0) + weight
        if total > max(self.share * self.learned.weight, 1.0) and event.rater not in self.experts:
            weight = 0.0
        else:
            self.added[event.rater] = total
        # As likely right as one vote of such a rater is: informedness 1 is always, 0 as often as not.
        right = (1 + weight) / 2 if isinstance(event, Vote) else 1.0
        return np.stack([difference, -difference]), weight * np.array([right, 1 - right])

    def features_of(self, samples: Sequence[Sample]) -> np.ndarray:
        """(n, d + 1) float64: scaled, and a 1 for the bias."""
        assert self.learned.fitted is not None
        fitted = self.learned.fitted
        features = (np.stack([self.seen[sample][0] for sample in samples]) - fitted.mean) / fitted.scale
        return np.append(features, np.ones((len(samples), 1)), axis=1)


def lacking(auc: Estimate, count: int) -> int:
    """About how many more judgements show that this is no chance, if it is none: intervals narrow with their root."""
    gain = auc.value - CHANCE
    if gain <= 0:
        return count
    return max(1, min(count * MOST_MORE, math.ceil(count * ((auc.value - auc.interval.low) / gain) ** 2) - count))


def sides_of(event: Judgement) -> tuple[Sample | None, Sample | None]:
    """Winner and loser; None for the threshold that votes compare with."""
    if isinstance(event, Choice):
        return event.winner, event.loser
    return (event.sample, None) if event.value > 0 else (None, event.sample)


def samples_of(event: Judgement) -> list[Sample]:
    return [sample for sample in sides_of(event) if sample is not None]


def identity(model: ApprovalModel) -> str:
    """12 hex digits of a hash of the model, by which samples name it."""
    content = np.append(model.direction, model.bias).tobytes() + model.benchmark_id.encode()
    return hashlib.sha256(content).hexdigest()[:12]
