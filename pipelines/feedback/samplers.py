"""Versions that draw the pictures of a fold, out of the registry."""

from __future__ import annotations

from typing import Any

from pipelines.core.errors import GenloopError
from pipelines.feedback.sealed.event_images import Draw, Unknown
from pipelines.registry import client
from pipelines.settings.schema import Params


def of(params: Params) -> Draw:
    """What `pictures.complete` asks for a version.

    A registry that answers, and lacks the version, lacks it for good. One that has nothing at all is most often another one
    than the one where people looked at pictures.
    """

    def load(version: int) -> Any:
        try:
            drawer = client.load(params, version)
            drawer.generation = client.generation(params, version)
        except client.NoVersionError:
            raise Unknown(f"version {version} is not in the registry") from None
        except GenloopError as error:
            raise GenloopError(f"{error}; the events are sealed, and the next fold draws their pictures") from None
        except Exception as error:  # of MLflow's, of the file system's, of the version's own code
            raise GenloopError(
                f"version {version} of {params.registry.model!r} is registered, but does not load ({error}); "
                "if it is gone for good, delete it from the registry; then fold again"
            ) from error
        return drawer

    return load
