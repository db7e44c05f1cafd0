"""Figures of the loop for Prometheus: found out in a thread of their own once a minute, so that a scrape only prints them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from operations import loop_health, storage
from operations.loop_health import LoopHealth
from pipelines.core import timestamps
from pipelines.core.project import Project
from pipelines.registry.client import Registry

FIRST, EVERY = 20.0, 60.0  # seconds after the start, when others need the processor, and between two looks


class LoopGauges(Collector):
    """What is not known is absent. Ages go on while nobody looks: they are counted from what was known last.

    log: gets a line where a look fails.
    """

    def __init__(self, project: Project, registry: Registry, log: Callable[[str], None]) -> None:
        self.project, self.registry, self.log = project, registry, log
        self.health: LoopHealth | None = None
        self.failure = ""
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch, name="loop gauges", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def close(self) -> None:
        """A look that is going on, which may count a large cache, is not waited for: it only reads."""
        self.stopped.set()

    def watch(self) -> None:
        wait = FIRST
        while not self.stopped.wait(wait):
            self.look()
            wait = EVERY

    def look(self) -> None:
        try:
            with loop_health.open_store(self.project) as store:
                self.health = loop_health.examine(self.project, self.registry, store, storage.count_apart(self.project))
            self.failure = ""
        except Exception as error:  # of MLflow's, of the database's; what was known stays, and is looked for again
            if str(error) != self.failure and not self.stopped.is_set():
                self.log(f"the figures of the loop are not known: {self.project.shorten(str(error))}")
            self.failure = str(error)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        health = self.health
        return iter(()) if health is None else families(health)


def families(health: LoopHealth) -> Iterator[GaugeMetricFamily]:
    kinds = health.drift.kinds.items() if health.drift else ()
    yield gauge("drift", "Fréchet distance to the reference rows.", "kind", [(kind, of.distance) for kind, of in kinds])
    yield gauge("drift_low", "Low end of its 95 % interval.", "kind", [(kind, of.low) for kind, of in kinds])
    yield gauge("drift_high", "High end of its 95 % interval.", "kind", [(kind, of.high) for kind, of in kinds])
    normal = [(kind, of.normal) for kind, of in kinds]
    yield gauge("drift_normal", "As far are as many reference rows among themselves, at most.", "kind", normal)
    balance = [(kind, of.balance) for kind, of in kinds]
    yield gauge("class_balance", "Share of the rarest class times the number of classes.", "kind", balance)
    shares = [(f"{one.days}d", one.share) for one in health.approval]
    yield gauge("approval_rate", "Share of the votes that like.", "window", shares)
    now = timestamps.now()
    yield single("last_fold_age_seconds", "Since events were last folded.", health.age(health.last_fold, now))
    yield single("waiting_events", "Events that no fold has sealed.", health.events.new if health.events else None)
    waiting = health.age(health.waiting_since, now)
    yield single("oldest_waiting_event_age_seconds", "Since the oldest of them was received.", waiting)
    counts = health.verdicts.counts.items() if health.verdicts else ()
    yield gauge("verdicts", "Versions by the gate's last verdict on them.", "verdict", counts)
    rejections = health.verdicts.rejections if health.verdicts else None
    yield single("rejections_in_a_row", "Of the latest versions that the gate has judged.", rejections)
    yield single("last_training_age_seconds", "Since a version was registered.", health.age(health.last_training, now))
    yield single("disk_free_bytes", "Of the disk that the project is on.", health.disk.free if health.disk else None)
    sizes = health.sizes.bytes.items() if health.sizes else ()
    yield gauge("cache_bytes", "Bytes that are taken on disk.", "store", sizes)


def gauge(name: str, about: str, label: str, values: Iterable[tuple[str, float | None]]) -> GaugeMetricFamily:
    """values: by the label's value; None is not known."""
    family = GaugeMetricFamily(f"genloop_{name}", about, labels=[label])
    for value, number in values:
        if number is not None:
            family.add_metric([value], number)
    return family


def single(name: str, about: str, value: float | None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"genloop_{name}", about)
    if value is not None:
        family.add_metric([], value)
    return family
