"""A step reads a weight before it changes it, in the graph that TensorFlow really runs, so that a seed gives one result."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipelines import catalogue
from pipelines.core import backend
from pipelines.core.project import Project
from tests.training import killed, rows

# TensorFlow writes down its graphs: after Grappler has changed them, as it runs them.
DUMPED = {"TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "meta_optimizer=1"}


def graph_of_a_step(project: Project, family: str, folder: Path) -> Any:
    from google.protobuf import text_format
    from tensorflow.core.framework import graph_pb2

    folder.mkdir()
    environment = {**os.environ, **DUMPED, "TF_DUMP_GRAPH_PREFIX": str(folder), "PYTHONPATH": str(killed.REPOSITORY)}
    subprocess.run(
        [sys.executable, killed.__file__, family], cwd=project.root, env=environment, check=True, capture_output=True
    )
    graphs = [path for path in folder.glob("after_MetaOptimizer_*.pbtxt") if "iteration" not in path.name]
    largest = max(graphs, key=lambda path: path.stat().st_size)
    return text_format.Parse(largest.read_text(), graph_pb2.GraphDef())


def unordered(graph: Any) -> list[tuple[str, str]]:
    """Pairs of nodes that use one variable, one at least changing it, of which either may come first."""
    nodes = {node.name: node for node in graph.node}

    def source(name: str) -> str:
        return name.lstrip("^").partition(":")[0]

    @cache
    def before(name: str) -> frozenset[str]:
        inputs = {source(name) for name in nodes[name].input}
        return frozenset(inputs.union(*map(before, inputs)))

    users: dict[str, list[str]] = {}
    for node in graph.node:
        if node.op.endswith("VariableOp"):  # its first input is the variable
            users.setdefault(source(node.input[0]), []).append(node.name)
    assert len(users) > 10, "this is no training step"
    return [
        (one, other)
        for names in users.values()
        for one in names
        for other in names
        if nodes[one].op != "ReadVariableOp" and one != other and one not in before(other) and other not in before(one)
    ]


FAMILIES = [pytest.param(name, marks=[] if "gan" in name else [pytest.mark.slow]) for name in sorted(catalogue.MODELS)]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_look_at_a_variable_has_its_place_among_the_changes(family: str, project: Project, tmp_path: Path) -> None:
    if backend.name() != "tensorflow":
        pytest.skip("only TensorFlow runs the operations of a step in an order of its own")
    rows.fill(project)
    assert unordered(graph_of_a_step(project, family, tmp_path / "graphs")) == []
