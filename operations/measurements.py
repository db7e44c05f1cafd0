"""python -m operations.measurements: measures drift, and how much of the disk the project takes; for whoever looks at the loop.

It runs in a process of its own, because features of uploads need Keras and memory. Both are kept in logs/measurements.
"""

from __future__ import annotations

from pipelines.core.project import Project
from pipelines.settings.schema import Params
from pipelines.stage import main


def run(project: Project, params: Params) -> None:
    from operations import drift, storage
    from workspace import locks

    with locks.hold(project.logs / "measurements.lock", "drift is being measured already; wait for it to end"):
        storage.count(project)
        if drift.measure(project, params, lambda line: print(f"measure: {line}")) is None:
            print("measure: there is no benchmark yet; the first run makes it (`genloop run`)")


if __name__ == "__main__":
    main(run)
