"""PostgreSQL with a password: who is let in, locks that are held together, and nothing that shows the password."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.dummy import Pool

import pytest

from pipelines.core import postgresql
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.registry import answers
from tests.conftest import REPOSITORY, project_in
from tests.support.servers import PASSWORD

WRONG = [
    ("genloop:", "genloop:wrong%20", r"\(password authentication failed for user \"genloop\"\)"),
    ("genloop:", "nobody:", r"\(password authentication failed for user \"nobody\"\)"),
    ("/services_", "/gone_", r"\(database \"gone_\d+\" does not exist\)"),
]


@pytest.mark.parametrize(("old", "new", "words"), WRONG)
def test_a_server_that_does_not_let_us_in_is_said_at_once_without_the_password(
    database: Callable[[], str], project: Project, old: str, new: str, words: str
) -> None:
    uri = project.with_variables({"MLFLOW_TRACKING_URI": database().replace(old, new)}).tracking_uri
    started = time.monotonic()
    with pytest.raises(
        GenloopError, match=rf"^MLflow's database at postgresql\+psycopg://…@.* cannot be used {words}; see"
    ) as it:
        answers.check(uri)
    assert time.monotonic() - started < 20  # MLflow itself tries for 100 s
    assert "secret" not in str(it.value)


def test_an_address_that_cannot_be_read_is_said_without_the_password() -> None:
    with pytest.raises(GenloopError) as raised:
        answers.check("postgresql://ann:secret@/name?host=/nowhere&unheard=of&password=hidden")
    assert "secret" not in str(raised.value)
    assert "hidden" not in str(raised.value)
    assert "unheard" in str(raised.value)


def test_a_socket_without_a_server_is_said() -> None:
    with pytest.raises(
        GenloopError, match=r"^MLflow's database at postgresql:///name\?host=/nowhere cannot be used \(.*No such"
    ):
        answers.check("postgresql:///name?host=/nowhere")


def test_the_extra_is_named_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"^X names PostgreSQL, but the package psycopg is missing: .*'genloop\[postgres\]'`$"):
        postgresql.connect("postgresql://127.0.0.1/name", "X")


def test_one_holds_a_lock_at_a_time_and_may_ask_again(database: Callable[[], str]) -> None:
    url, held, most = database(), 0, 0

    def work(_: int) -> None:
        nonlocal held, most
        with postgresql.lock(url, "X", 7), postgresql.lock(url, "X", 7):
            held += 1
            most = max(most, held)
            time.sleep(0.02)
            held -= 1

    with Pool(4) as pool:
        pool.map(work, range(12))
    assert (held, most) == (0, 1)


def test_a_lock_ends_with_the_process_that_held_it(database: Callable[[], str]) -> None:
    url = database()
    code = (
        "import os, sys\nfrom pipelines.core import postgresql\n"
        "with postgresql.lock(sys.argv[1], 'X', 7):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, url]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waited = threading.Event()

        def wait() -> None:
            with postgresql.lock(url, "X", 7):
                waited.set()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not waited.wait(0.3)
        holder.kill()
        assert waited.wait(10)
        thread.join()


def test_a_lock_on_a_server_that_does_not_answer_is_an_error_in_words() -> None:
    url = "postgresql://ann:secret@127.0.0.1:9/name"
    expected = r"^PostgreSQL at postgresql://…@127\.0\.0\.1:9/name does not answer \(.*refused"
    with pytest.raises(GenloopError, match=expected), postgresql.lock(url, "X", 7):
        pytest.fail("nobody holds it")


@pytest.mark.slow
def test_several_that_come_first_make_the_tables_of_mlflow_once(database: Callable[[], str], tmp_path: object) -> None:
    """As several machines do, which share no lock of a file."""
    url = database()
    code = (
        "import sys, tempfile\nfrom pathlib import Path\ntempfile.tempdir = tempfile.mkdtemp()\n"
        "from pipelines.core.project import Project\nfrom pipelines.registry.client import Registry\n"
        "registry = Registry(Project.find(Path(sys.argv[1])), 'name', 'experiment')\nprint(registry.numbers())"
    )
    variables = dict(project_in(REPOSITORY, MLFLOW_TRACKING_URI=url, PYTHONPATH=str(REPOSITORY)).environment)
    start = [sys.executable, "-c", code, str(REPOSITORY)]
    running = [
        subprocess.Popen(start, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    done = [(*process.communicate(timeout=300), process.returncode) for process in running]
    assert [(out, code) for out, _, code in done] == [("[]\n", 0)] * 3, done
    assert PASSWORD not in "".join(err for _, err, _ in done)
