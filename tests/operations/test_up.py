"""`up`: what it would start, by what the environment names, and what it refuses."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations import demo, up
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.settings.load import load_params
from studio import settings
from workspace import git


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen()
        yield found


def test_servers_of_its_own_come_where_the_environment_names_none(project: Project) -> None:
    found = up.plan(project, 8400, {})
    assert [page.name for page in found.pages] == ["prefect", "mlflow"]
    assert found.variables["PREFECT_API_URL"] == f"{found.addresses.prefect}/api"
    assert found.studio.check == "http://127.0.0.1:8400/healthz"


def test_servers_that_the_environment_names_are_used(project: Project) -> None:
    named = {"PREFECT_API_URL": "http://prefect.example:4200/api", "MLFLOW_TRACKING_URI": "https://mlflow.example"}
    found = up.plan(project.with_variables(named), 8400, {})
    assert found.pages == []
    assert found.variables == {}
    assert found.addresses == up.Addresses("http://127.0.0.1:8400", "http://prefect.example:4200", "https://mlflow.example")


def test_a_taken_port_of_the_studio_is_an_error_that_names_it(project: Project, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(GenloopError, match=rf"127\.0\.0\.1:{port}: Address already in use; --port takes another one"):
        up.require_free(port)


def test_a_page_whose_usual_port_is_taken_gets_another(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert up.free_port(port) not in (port, 0)


def test_the_raters_get_a_key_beside_those_that_there_are(project: Project) -> None:
    own = project.with_variables({"GENLOOP_API_KEYS": "shop:events:0123456789abcdef"})
    keys = settings.read_keys({"GENLOOP_API_KEYS": up.with_key(own, "a" * 32)})
    assert [(key.name, sorted(key.scopes)) for key in keys] == [("shop", ["events"]), ("raters", ["events", "generate"])]
    assert up.with_key(project, "a" * 32).startswith("raters:")


def test_the_demo_is_a_project_of_its_own_that_later_calls_go_on_with(kept: Project) -> None:
    copy_examples(kept)
    before = kept.params_file.read_text()
    made = demo.prepare(kept)
    assert made.root == kept.root / "demo"
    assert load_params(made.params_file).feedback.min_events < load_params(kept.params_file).feedback.min_events
    assert kept.params_file.read_text() == before
    assert str(made.root) in made.tracking_uri
    assert str(made.root) in made.database_url
    assert git.head(made) is not None
    (made.root / "here").touch()
    assert demo.prepare(kept).root == made.root
    assert (made.root / "here").is_file()


def test_the_demo_speaks_to_nobody_in_the_project_s_name(kept: Project) -> None:
    told = {"GENLOOP_WEBHOOK_URL": "https://team.example", "GENLOOP_WEBHOOK_SECRET": "s", "GENLOOP_PROJECT_NAME": "shop"}
    copy_examples(kept)
    made = demo.prepare(kept.with_variables(told))
    assert not any(made.environment[name] for name in told)
    assert load_params(made.params_file).notify.webhook is None


def test_a_folder_of_the_user_s_is_never_taken_for_the_demo(kept: Project) -> None:
    (kept.root / "demo").mkdir()
    (kept.root / "demo" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="demo/ is not the demo's"):
        demo.prepare(kept)
    assert (kept.root / "demo" / "mine.txt").read_text() == "mine"


def test_a_demo_whose_making_was_killed_is_made_anew(kept: Project) -> None:
    copy_examples(kept)
    (kept.root / demo.PARTIAL).mkdir()
    (kept.root / demo.PARTIAL / "half").touch()
    made = demo.prepare(kept)
    assert not (made.root / "half").exists()
    assert not (kept.root / demo.PARTIAL).exists()


def copy_examples(project: Project) -> None:
    (project.root / "examples").mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parents[2] / "examples/demo.yaml", project.root / "examples")
