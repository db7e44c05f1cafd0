"""Who may import whom, who may touch the process, and how things are named: read from the code itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

STAGES = {"ingest", "validate", "clean", "reference", "curate", "approval", "train", "evaluate", "register"}
APART = {"noise"}  # a stage with a graph of its own
PLUGINS = ("sources", "rules", "models", "metrics", "features", "tastes")
FOLDERS = ("pipelines", "workspace", "operations", "flows", "studio", "commands")
CODE = [*sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")), REPOSITORY / "genloop.py"]


def name_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that `path` imports, anywhere in it; `from package import module` counts as the module."""
    package = name_of(path).split(".") if path.name == "__init__.py" else name_of(path).split(".")[:-1]
    for node in ast.walk(TREES[name_of(path)]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
            inside = [name for name in names if (REPOSITORY / name.replace(".", "/")).with_suffix(".py").exists()]
            yield from inside or [module]


TREES = {name_of(path): ast.parse(path.read_text()) for path in CODE}
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
        ("keras_hub", ("pipelines.features.keras_hub",)),
        ("kagglehub", ("pipelines.features.presets",)),
        ("huggingface_hub", ("pipelines.features.presets",)),
        ("jax", ("nobody",)),
        ("torch", ("nobody",)),
        ("typer", ("commands",)),
        ("fastapi", ("studio",)),
        ("uvicorn", ("studio", "flows.prefect_server")),
        ("studio", ("studio", "commands.studio")),
        ("flows", ("flows", "commands")),
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
    names = (
        "errors",
        "facts",
        "files",
        "formats",
        "greys",
        "images",
        "lazy",
        "limits",
        "processes",
        "progress",
        *(["project"] if kind == "sources" else []),
    )
    core = () if kind == "models" else tuple(f"pipelines.core.{name}" for name in names)
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
    ("workspace",),
    *((f"pipelines.{kind}",) for kind in ("sources", "rules", "models", "features", "metrics", "tastes")),
    ("pipelines.catalogue",),
    ("pipelines.settings",),
    ("pipelines.scoring",),
    ("pipelines.feedback",),
    ("pipelines.registry",),
    ("pipelines.validation",),
    ("pipelines.curation",),
    ("pipelines.preference",),
    ("pipelines.guidance",),
    ("pipelines.training",),
    ("pipelines.external",),
    ("pipelines.evaluation",),
    ("pipelines.promotion",),
    ("pipelines.registration",),
    ("pipelines.tuning",),
    ("pipelines.simulation",),
    ("pipelines.stage",),
    tuple(f"pipelines.{stage}" for stage in sorted(STAGES | APART)),
    ("operations",),
    ("flows",),
    ("studio",),
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


@pytest.mark.parametrize(("room", "allowed"), [("pipelines.core", ()), ("workspace", ("pipelines.core",))])
def test_the_ground_knows_nothing_of_what_stands_on_it(room: str, allowed: tuple[str, ...]) -> None:
    wrong = [
        (name, i)
        for name, imported in IMPORTS.items()
        if name.startswith(room)
        for i in imported
        if i.split(".")[0] in FOLDERS and not i.startswith((room, *allowed))
    ]
    assert wrong == []


def test_of_the_pipeline_nobody_knows_tuning_but_itself() -> None:
    assert outsiders("pipelines.tuning", "pipelines.tuning", "commands.tune") == []


def test_only_events_promotion_and_studies_know_their_databases() -> None:
    assert outsiders("sqlalchemy", "pipelines.feedback", "pipelines.promotion", "pipelines.tuning") == []


def test_git_is_called_in_one_place() -> None:
    called = [
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.List | ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Constant)
        if node.elts[0].value == "git"
    ]
    assert set(called) == {"workspace.git"}


# Who reads the environment of the process, and who changes it, with the reason why `project.environment` will not do.
READS = {
    "pipelines.core.project",  # the edge: from here on it is passed
    "pipelines.core.processes",
    "pipelines.core.backend",  # what TensorFlow and XLA read themselves
    "pipelines.models.external",  # which interpreter samples on this machine: a version travels without a project
    "pipelines.models.worker",  # what its process inherits
    "pipelines.sources.keras",  # where Keras itself keeps its data sets
    "commands.simulate",  # an edge, see below
    "flows.schedules",
    "flows.prefect_server",
}
WRITES = {
    "pipelines.core.processes",  # what libraries want set before they are imported
    "pipelines.core.backend",  # XLA's flags, for train.deterministic
    "commands.simulate",  # this process shares the GPU with those that it starts
    "flows.schedules",  # Prefect's runner hands it on to what it starts
    "flows.prefect_server",  # what Prefect wants set before it is imported
}
CHANGES = {"setdefault", "update", "pop", "popitem", "clear"}


def of_environ(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("environ", "environb") and name_is(node.value, "os")


def name_is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def writes_environment(node: ast.AST) -> bool:
    """os.environ[...] = ..., del os.environ[...], os.environ |= ..., os.environ.setdefault(...), os.putenv(...)"""
    match node:
        case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()):
            return of_environ(value)
        case ast.AugAssign(target=target):
            return of_environ(target)
        case ast.Attribute(value=value, attr=attr):
            return (of_environ(value) and attr in CHANGES) or (name_is(value, "os") and attr in ("putenv", "unsetenv"))
    return False


def modules_with(found: Any) -> set[str]:
    return {name for name, tree in TREES.items() if any(found(node) for node in ast.walk(tree))}


def test_the_environment_is_read_at_the_edge_and_passed() -> None:
    def reads(node: ast.AST) -> bool:
        return of_environ(node) or (isinstance(node, ast.Attribute) and node.attr == "getenv" and name_is(node.value, "os"))

    assert modules_with(reads) <= READS
    assert modules_with(writes_environment) <= WRITES
    assert "os.environ" not in {name for imported in IMPORTS.values() for name in imported}


def test_nobody_moves_the_working_directory_and_only_the_edge_asks_for_it() -> None:
    def moves(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr in ("chdir", "fchdir")

    def asks(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr in ("cwd", "getcwd") and not name_is(node.value, "self")

    assert modules_with(moves) == set()
    assert modules_with(asks) <= {"pipelines.core.project", "commands.app", "commands.score"}


def test_no_class_name_stands_twice() -> None:
    places = defaultdict(set)
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].add(name)
    assert {name: sorted(modules) for name, modules in places.items() if len(modules) > 1} == {}


# Participles, adverbs and pronouns, and words in whose place this project has another one. Commands keep their public names.
NO_NAMES = {
    "alike", "aside", "away", "belief", "believed", "budget", "came", "cv_fold", "days", "drawer", "drawers", "drawn",
    "foretold", "holder", "honest", "influence", "judged", "keeping", "kept", "known", "looked", "looks", "moment", "others",
    "parts", "pending", "reported", "right", "said", "seen", "sent", "side", "sides", "spoken", "standing", "superseded",
    "there", "told", "torn", "traces", "trail",
}  # fmt: skip


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = [name for name in IMPORTS if not name.startswith("commands.")]
    assert [name for name in names if set(name.replace("-", "_").split(".")) & NO_NAMES] == []


HEAVY = {
    "tensorflow", "keras", "mlflow", "prefect", "dvc", "optuna", "pandas", "great_expectations", "matplotlib", "numpy",
    "pyarrow",
}  # fmt: skip


def test_the_command_loads_nothing_heavy_before_it_is_needed() -> None:
    program = (
        "import sys, genloop, pipelines.settings.load\n"
        f"heavy = {HEAVY}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_params_are_checked_without_anything_heavy() -> None:
    """Plug-ins' files are imported for it."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pipelines.settings.load import load_params\n"
        "load_params(Path('params.yaml'))\n"
        f"heavy = {HEAVY | {'scipy', 'sklearn', 'PIL', 'sqlalchemy'}}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
