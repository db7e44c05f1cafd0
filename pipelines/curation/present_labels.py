"""Labels that people gave -> labels among the present classes.

A label is an index into the classes of its time, and a run numbers the classes anew where one is gone or comes before others.
Their names stay: a fold seals them, and by them the class is found again. What was sealed without names goes by the index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.feedback.events import Event, Label, Sample, Upload

Places = Mapping[str, int]  # the index of each present class, by its name


def places(classes: Sequence[str]) -> Places:
    return {name: place for place, name in enumerate(classes)}


def of_sample(sample: Sample, name: str | None, present: Places) -> int | None:
    """The label of a generated image, of the class of this name; the number of classes, which is no label, where it is gone."""
    if sample.label is None or name is None:
        return sample.label
    return present.get(name, len(present))


def of_event(event: Event, names: Sequence[str] | None, present: Places) -> Event:
    """The event with its label as in `of_sample`. names: of the classes that it was an index of, None where not sealed."""
    if names is None or not isinstance(event, Label | Upload) or event.label is None:
        return event
    name = names[event.label] if event.label < len(names) else None
    return event.model_copy(update={"label": len(present) if name is None else present.get(name, len(present))})
