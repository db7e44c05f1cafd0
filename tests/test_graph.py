"""dvc.yaml and noise/dvc.yaml: every stage lists the code that its output depends on, no more and no less."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipelines.settings.schema import Params
from tests.conftest import REPOSITORY
from tests.test_architecture import APART, IMPORTS, STAGES

# What starts, stops, names or reports a stage, and cannot change what it makes.
GLUE = {
    "pipelines.catalogue",
    "pipelines.stage",
    "pipelines.sources.changes",
    *(f"pipelines.settings.{name}" for name in ("block", "schema", "load", "faults", "manifest", "yaml_files")),
    *(
        f"pipelines.core.{name}"
        for name in (
            "backend",
            "buckets",
            "errors",
            "files",
            "formats",
            "lazy",
            "limits",
            "parallel",
            "postgresql",
            "processes",
            "progress",
            "project",
            "reports",
            "temporary_folder",
            "timestamps",
            "urls",
        )
    ),
}
# The picture of a training is looked at while it runs: drawing it otherwise is no reason to train again. Nor is another way to
# fetch the champion that a training may go on from. How scores are shown does not move them. And how git is asked which commit
# a version came from does not change the answer, nor does whether the registry's server answers soon, or how an
# external trainer's processes are ended.
PICTURES, REGISTRY, PROCESSES = "pipelines.core.grids", "pipelines.registry.client", "workspace.processes"
DISPLAYS = {"pipelines.evaluation.page", "pipelines.evaluation.summary", "pipelines.scoring.readings"}
EXEMPT = {
    "train": {PICTURES, REGISTRY, PROCESSES},
    "noise": {PICTURES, REGISTRY, PROCESSES, *DISPLAYS},
    "register": {"workspace.git", "pipelines.registry.answers"},
}
# Imported by name, and among the deps by the family that params name.
OF_FAMILY = {"pipelines/models/external.py": "pipelines/models/${model.family}.py"}
STARTED = {"noise": {"pipelines.train", "pipelines.evaluate"}}  # in processes of their own, so it does not import them

GRAPH = YAML(typ="safe").load((REPOSITORY / "dvc.yaml").read_text())["stages"]
NOISE = YAML(typ="safe").load((REPOSITORY / "noise/dvc.yaml").read_text())
ALL = GRAPH | NOISE["stages"]


def code_of(stage: str) -> set[str]:
    """The project's modules that a stage imports, directly or not, without the glue."""
    found: set[str] = set()
    waiting = [f"pipelines.{stage}", *STARTED.get(stage, ())]
    while waiting:
        module = waiting.pop()
        if module in found or module not in IMPORTS or module in GLUE | EXEMPT.get(stage, set()):
            continue
        if not module.endswith(("pipelines", ".core", "__init__")):
            found.add(module)
        waiting += IMPORTS[module]
    return found


def listed(stage: str) -> list[str]:
    return [dep for dep in ALL[stage]["deps"] if dep.startswith("pipelines")]


def test_the_stages_are_the_design_s() -> None:
    assert set(GRAPH) == STAGES
    assert set(NOISE["stages"]) == APART
    assert all(stage["cmd"].endswith(f"exec python -m pipelines.{name}") for name, stage in ALL.items())


@pytest.mark.parametrize("stage", sorted(STAGES | APART))
def test_a_stage_lists_the_code_that_it_imports(stage: str) -> None:
    for module in code_of(stage):
        file = f"{module.replace('.', '/')}.py"
        covered = any(file == dep or file.startswith(f"{dep}/") for dep in listed(stage))
        covered = covered or OF_FAMILY.get(file) in listed(stage)
        package = (REPOSITORY / module.replace(".", "/")).is_dir()  # an __init__ of one docstring
        assert covered or package, f"{stage} imports {file}, which is not among its deps"


@pytest.mark.parametrize("stage", sorted(STAGES | APART))
def test_a_stage_lists_nothing_that_it_does_not_use(stage: str) -> None:
    files = {f"{module.replace('.', '/')}.py" for module in code_of(stage)}
    plugins = {"pipelines/sources", "pipelines/rules", "pipelines/features", "pipelines/metrics", "pipelines/templates"}
    # Stored with a version, and imported by the family that params name.
    imported_by_family = {f"pipelines/models/{name}.py" for name in ("flow", "serve_sampler", "worker")}
    by_path = {"pipelines/registry/pyfunc.py", *imported_by_family}
    for dep in listed(stage):
        if "${" not in dep and dep not in plugins | by_path:
            assert (REPOSITORY / dep).exists(), dep
            assert dep in files or any(file.startswith(f"{dep}/") for file in files), f"{stage} does not use {dep}"


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_what_a_stage_reads_is_made_by_a_stage_before_it(stage: str) -> None:
    order = list(GRAPH)
    made = {
        next(iter(out)) if isinstance(out, dict) else out: name
        for name, entry in GRAPH.items()
        for out in [*entry.get("outs", []), *entry.get("metrics", []), *entry.get("plots", [])]
    }
    for dep in GRAPH[stage]["deps"]:
        if dep.startswith("data/") and dep != "data/feedback.json":  # in git; a fold writes it
            assert order.index(made[dep]) < order.index(stage), dep


def test_noise_is_measured_for_a_benchmark_and_a_configuration_alone() -> None:
    """New feedback and another seed of the training itself must not start several trainings."""
    stage = NOISE["stages"]["noise"]
    assert stage["wdir"] == ".."
    assert [dep for dep in stage["deps"] if dep.startswith("data/")] == ["data/reference"]
    assert stage["params"] == [
        "image", "model", "train.init", "train.steps", "train.batch_size", "train.augment", "train.precision",
        "evaluate.samples", "promotion.noise"
    ]  # fmt: skip
    assert stage["outs"] == [{"data/noise.json": {"cache": False}}]
    read = {dep for entry in GRAPH.values() for dep in entry["deps"]}
    assert "data/noise.json" not in read  # else `dvc repro` would run it


def test_every_block_of_params_is_some_stage_s_input_or_of_what_runs_stages() -> None:
    used = {key.split(".")[0] for entry in ALL.values() for key in entry["params"]}
    blocks = {field.alias or name for name, field in Params.model_fields.items()}
    assert blocks - used == {"flow", "notify", "schedule", "studio", "tune", "versioning"}


def test_a_family_s_file_has_the_family_s_name() -> None:
    from pipelines.catalogue import MODELS

    for family, place in MODELS.items():
        assert Path(*place.split(":")[0].split(".")).with_suffix(".py") == Path(f"pipelines/models/{family}.py")
