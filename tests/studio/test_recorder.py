"""What people say is stored before it is answered, many at once, and learned from after that."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Sample, Vote
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store.event_store import AddResult, EventStore
from studio.recorder import Change, Recorder

SAMPLE = Sample(version=1, seed=7, label=0)


def vote(name: str, rater: str = "r", value: int = 1) -> Vote:
    return Vote(id=name, type="vote", rater=rater, at=datetime(2026, 1, 31, tzinfo=UTC), sample=SAMPLE, value=value)


class Learner:
    def __init__(self) -> None:
        self.known: list[str] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, change: Change) -> None:
        assert self.go.wait(10)
        if isinstance(change, list):
            self.known += [event.id for event in change]
        else:
            self.known.remove(change)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'feedback.db'}"


def test_events_are_stored_and_then_learned_from(url: str) -> None:
    learner = Learner()
    recorder = Recorder(url, learner, print)
    assert recorder.add([vote("a"), vote("b")]).result(10) == [AddResult.STORED] * 2
    assert recorder.add([vote("a")]).result(10) == [AddResult.KNOWN]
    assert recorder.add([vote("a", value=-1)]).result(10) == [AddResult.CONFLICT]
    assert recorder.wait("r", 10)
    assert learner.known == ["a", "b"]
    recorder.close()


def test_what_waits_when_it_is_closed_is_stored(url: str) -> None:
    recorder = Recorder(url, Learner(), print)
    futures = [recorder.add([vote(f"v{number}")]) for number in range(300)]
    recorder.close()
    assert {future.result(0)[0] for future in futures} == {AddResult.STORED}
    with EventStore.open(url) as store:
        assert store.counts().new == 300


def test_many_threads_lose_and_double_nothing(url: str) -> None:
    learner = Learner()
    recorder = Recorder(url, learner, print)

    def send(first: int) -> None:
        for number in range(50):
            assert recorder.add([vote(f"{first}-{number}")]).result(10) == [AddResult.STORED]

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.wait("r", 10)
    recorder.close()
    assert len(set(learner.known)) == len(learner.known) == 400


def test_one_waits_for_one_s_own_votes_alone(url: str) -> None:
    learner = Learner()
    learner.go.clear()
    recorder = Recorder(url, learner, print)
    recorder.add([vote("a", "slow")]).result(10)
    assert not recorder.wait("slow", 0.05)
    assert recorder.wait("other", 0.05)
    learner.go.set()
    assert recorder.wait("slow", 10)
    recorder.close()


def test_a_database_that_does_not_answer_is_said_and_asked_again(tmp_path: Path) -> None:
    file = tmp_path / "feedback.db"
    file.write_bytes(b"this is no database" * 100)
    recorder = Recorder(f"sqlite:///{file}", Learner(), print)
    with pytest.raises(GenloopError, match="not a database"):
        recorder.add([vote("a")]).result(10)
    file.unlink()
    assert recorder.add([vote("a")]).result(10) == [AddResult.STORED]
    recorder.close()


def test_samples_are_stored_as_they_were_shown(url: str) -> None:
    recorder = Recorder(url, Learner(), print)
    recorder.add([], [ShownSample(SAMPLE, True, "id", 0.1, 0.9, 3, 1.0)]).result(10)
    recorder.close()
    with EventStore.open(url) as store:
        assert store.guided() == {SAMPLE}


def test_an_error_of_learning_loses_no_vote(url: str) -> None:
    lines: list[str] = []

    def fail(change: Change) -> None:
        raise ValueError("a bug")

    recorder = Recorder(url, fail, lines.append)
    assert recorder.add([vote("a")]).result(10) == [AddResult.STORED]
    assert recorder.wait("r", 10)
    assert lines == ["what was said is stored, but the studio could not learn from it: a bug"]
    recorder.close()


def test_what_is_withdrawn_is_unlearned_in_the_order_in_which_it_came(url: str) -> None:
    learner = Learner()
    learner.go.clear()
    recorder = Recorder(url, learner, print)
    recorder.add([vote("a"), vote("b")])
    first, again = recorder.withdraw("a", "r"), recorder.add([vote("a", value=-1)])
    nobody, other = recorder.withdraw("c", "r"), recorder.withdraw("b", "somebody else")
    learner.go.set()
    assert [one.result(10) for one in (first, nobody, other)] == [True, False, False]
    assert again.result(10) == [AddResult.STORED]
    assert recorder.wait("r", 10)
    recorder.close()
    assert learner.known == ["b", "a"]


def test_who_has_gone_away_loses_nothing_and_keeps_nobody_waiting(url: str) -> None:
    recorder = Recorder(url, Learner(), print)
    gone = [recorder.add([vote(f"gone-{number}")]) for number in range(50)]
    for future in gone:
        future.cancel()
    assert recorder.add([vote("here")]).result(10) == [AddResult.STORED]
    assert recorder.wait("r", 10)
    recorder.close()
    with EventStore.open(url) as store:
        assert store.counts().new == 51
