"""Who may import whom, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

STAGES = {"ingest", "validate", "clean", "reference", "curate", "approval", "train", "evaluate", "register"}
APART = {"noise"}  # a stage with a graph of its own
PLUGINS = ("sources", "rules", "models", "metrics", "features", "tastes")
FOLDERS = ("pipelines", "workspace", "operations", "flows", "commands")
CODE = [*sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")), REPOSITORY / "genloop.py"]


def name_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that `path` imports, anywhere in it; `from package import module` counts as the module."""
    package = name_of(path).split(".") if path.name == "__init__.py" else name_of(path).split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
            inside = [name for name in names if (REPOSITORY / name.replace(".", "/")).with_suffix(".py").exists()]
            yield from inside or [module]


IMPORTS = {name_of(path): sorted(set(imports(path))) for path in CODE}


def test_the_imports_are_read_right() -> None:
    assert "pipelines.core.shards" in IMPORTS["pipelines.ingest"]
    assert "pipelines.models.base" in IMPORTS["pipelines.models.gan-dense"]
    assert {name.removeprefix("pipelines.") for name in IMPORTS} >= STAGES | APART


def outsiders(package: str, *allowed: str) -> list[str]:
    """Modules outside of `allowed` that import `package`."""
    return [
        name
        for name, imported in IMPORTS.items()
        if not name.startswith(allowed) and any(i == package or i.startswith(f"{package}.") for i in imported)
    ]


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("prefect", ("flows",)),
        ("mlflow", ("pipelines.registry",)),
        ("great_expectations", ("pipelines.validation",)),
        ("dvc", ("workspace",)),
        ("optuna", ("pipelines.tuning",)),
        ("tensorflow", ("pipelines.features.inception", "pipelines.core.backend")),
        ("jax", ("nobody",)),
        ("torch", ("nobody",)),
        ("typer", ("genloop",)),
        ("commands", ("commands", "genloop")),
        ("genloop", ("nobody",)),
    ],
)
def test_only_its_own_place_imports_a_tool(package: str, allowed: tuple[str, ...]) -> None:
    assert outsiders(package, *allowed) == []


def test_no_stage_imports_another() -> None:
    stages = {f"pipelines.{stage}" for stage in STAGES | APART}
    assert [(name, i) for name, imported in IMPORTS.items() if name in stages for i in imported if i in stages] == []


@pytest.mark.parametrize("kind", PLUGINS)
def test_a_plug_in_imports_its_own_folder_and_what_is_below_it(kind: str) -> None:
    """A metric knows what features are; no other kind knows another, none the settings, the registry or the stages."""
    below = {"metrics": ("pipelines.features.base",)}.get(kind, ())
    core = () if kind == "models" else tuple(
        f"pipelines.core.{name}" for name in ("cores", "errors", "facts", "files", "images", "progress")
    )  # fmt: skip
    allowed = (f"pipelines.{kind}", *below, *core)
    wrong = [
        (name, i)
        for name, imported in IMPORTS.items()
        if name.startswith(f"pipelines.{kind}.")
        for i in imported
        if i.startswith("pipelines") and not i.startswith(allowed)
    ]
    assert wrong == []


def test_models_travel_alone() -> None:
    """The folder is loaded under another name with every registered version: relative imports, and few packages."""
    allowed = {"keras", "numpy", "safetensors", "__future__", *sys.stdlib_module_names}
    for path in (REPOSITORY / "pipelines/models").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert str(node.module).split(".")[0] in allowed, (path.name, node.module)
            elif isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path.name


# The rooms from the ground up; those on one floor stand in one line. A module imports from its own room and from lower floors.
FLOORS = (
    ("pipelines.core",),
    ("pipelines.catalogue",),
    *((f"pipelines.{kind}",) for kind in ("sources", "rules", "models", "features", "metrics", "tastes")),
    ("pipelines.settings",),
    ("pipelines.scoring",),
    ("pipelines.feedback",),
    ("pipelines.registry",),
    ("pipelines.validation",),
    ("pipelines.curation",),
    ("pipelines.preference",),
    ("pipelines.training",),
    ("pipelines.evaluation",),
    ("pipelines.promotion",),
    ("pipelines.registration",),
    ("pipelines.tuning",),
    ("pipelines.simulation",),
    ("pipelines.stage",),
    tuple(f"pipelines.{stage}" for stage in sorted(STAGES | APART)),
    ("workspace",),
    ("operations",),
    ("flows",),
    ("commands",),
    ("genloop",),
)


def floor_of(module: str) -> int | None:
    """The number of the floor that a module is on; None where it is in no room."""
    return next((n for n, rooms in enumerate(FLOORS) if any(module == r or module.startswith(f"{r}.") for r in rooms)), None)


def test_every_module_is_in_a_room() -> None:
    assert [name for name in IMPORTS if floor_of(name) is None and name != "pipelines"] == []


def test_nothing_imports_upwards() -> None:
    wrong = []
    for name, imported in IMPORTS.items():
        own = floor_of(name)
        for other in imported:
            above = floor_of(other)
            if own is not None and above is not None and above > own:
                wrong.append((name, other))
    assert wrong == []


def test_no_imports_go_round_in_a_circle() -> None:
    graph = {name: {other for other in imported if other in IMPORTS} for name, imported in IMPORTS.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_of_the_pipeline_nobody_knows_tuning_but_itself() -> None:
    assert outsiders("pipelines.tuning", "pipelines.tuning", "commands.tune") == []


def test_only_the_event_store_and_promotion_know_the_database() -> None:
    assert outsiders("sqlalchemy", "pipelines.feedback", "pipelines.promotion") == []


def test_the_command_loads_nothing_heavy_before_it_is_needed() -> None:
    program = (
        "import sys, genloop, pipelines.settings.load\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'prefect', 'dvc', 'optuna', 'pandas', 'great_expectations', 'matplotlib',\n"
        "         'numpy', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
