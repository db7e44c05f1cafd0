"""python -m pipelines.registry.server --port N: MLflow's server with its page, over the project's registry."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.core.project import Project
from pipelines.registry.client import open_registry

HOST = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.registry.server", description=__doc__)
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--project", type=Path, metavar="DIR", help="by default the working directory's")
    options = parser.parse_args(arguments)
    project = Project.find(options.project)
    _, registry = open_registry(project)
    assert registry.client  # which makes the tables of a new one, while no other process does
    command = [sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--uvicorn-opts", "--log-level warning"]
    command += ["--host", HOST, "--port", str(options.port), "--workers", "1"]
    command += ["--cors-allowed-origins", f"http://{HOST}:{options.port}"]
    variables = {
        # Not on the command line, where every user of the machine would see a password.
        "MLFLOW_BACKEND_STORE_URI": registry.address,
        "MLFLOW_REGISTRY_STORE_URI": registry.address,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
    }
    os.execve(sys.executable, command, {**project.environment, **variables})


if __name__ == "__main__":
    main()
