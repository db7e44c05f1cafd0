"""What was set aside, of whom and why: the book that every step of `curate` writes into."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from pipelines.feedback.events import Event

OVER_PART = "over the rater's part"
NOT_BELIEVED = "rater not believed"
NO_PICTURE = "no picture"
UNKNOWN_ROW = "unknown row"
UNKNOWN_LABEL = "unknown label"


class Aside:
    """of: by rater, how many events for each reason; a reason has its event's type before it where that is no vote."""

    def __init__(self) -> None:
        self.of: dict[str, Counter[str]] = defaultdict(Counter)
        self.votes = 0

    def add(self, event: Event, reason: str) -> None:
        vote = event.type == "vote"
        self.of[event.rater][reason if vote else f"{event.type}, {reason}"] += 1
        self.votes += vote

    def add_all(self, events: Iterable[Event], reason: str) -> None:
        for event in events:
            self.add(event, reason)

    def words(self, rater: str) -> str:
        """As in "burst: 12; copy: 3", the most frequent reason first."""
        reasons = sorted(self.of.get(rater, Counter()).items(), key=lambda pair: (-pair[1], pair[0]))
        return "; ".join(f"{reason}: {count}" for reason, count in reasons)
