"""Versions of the registry, for the images of a fold."""

from __future__ import annotations

from typing import Any

from pipelines.core.errors import GenloopError
from pipelines.feedback.sealed.event_images import LoadVersion, UnknownVersionError
from pipelines.registry.client import Registry
from pipelines.registry.versions import NoVersionError


def loader(registry: Registry) -> LoadVersion:
    """The function by which `event_images.complete` loads a version.

    A registry that answers, and lacks the version, lacks it for good. An empty one is most often not the registry whose
    images people judged.
    """

    def load(version: int) -> Any:
        try:
            sampler = registry.load(version)
            sampler.generation, sampler.identity = registry.generation(version), registry.identity(version)
        except NoVersionError:
            raise UnknownVersionError(f"version {version} is not in the registry") from None
        except GenloopError as error:
            raise GenloopError(f"{error}; the events are sealed, and the next fold generates their images") from None
        except Exception as error:  # of MLflow's, of the file system's, of the version's own code
            raise GenloopError(
                f"version {version} of {registry.name!r} is registered, but does not load ({error}); "
                "if it is gone for good, delete it from the registry; then fold again"
            ) from error
        return sampler

    return load
