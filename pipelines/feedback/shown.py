"""Samples that people were shown, and how each was chosen."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.feedback.events import Sample


@dataclass(frozen=True)
class ShownSample:
    """A sample that was shown.

    guided: whether it was chosen by how likely people like it. The others are None where nothing was known of that.
    approval_id: of the model by which it was known. approval: how likely people like the sample, by that model, 0..1.
    temperature: of the choice; tries: how many samples were looked at for this one.
    weight: how much the sample stands for, of what the version generates; see pipelines/guidance/acceptance.py.
    """

    sample: Sample
    guided: bool = False
    approval_id: str | None = None
    temperature: float | None = None
    approval: float | None = None
    tries: int | None = None
    weight: float | None = None
