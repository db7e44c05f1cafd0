"""Prefect's server starts behind every kind of proxy, and says in a line why it does not start."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, temporary_settings

from flows import server
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from tests.conftest import REPOSITORY
from tests.support import http_servers
from tests.support.tiny_project import Tiny

KINDS = ("http_proxy", "https_proxy", "all_proxy")


@pytest.mark.slow
def test_a_run_with_its_own_server_asks_no_proxy(tiny: Tiny) -> None:
    del tiny.environment["PREFECT_API_URL"]
    tiny.graph(first="pass")
    with http_servers.proxy() as (proxy, asked):
        tiny.environment |= {name: proxy for kind in KINDS for name in (kind, kind.upper())}
        done = tiny.ran("run")
        assert done.returncode == 0, done.stderr
        assert asked == []
    tiny.nothing_left()


@pytest.mark.slow
def test_a_run_goes_on_without_a_socks_proxy_that_it_cannot_use(tiny: Tiny) -> None:
    del tiny.environment["PREFECT_API_URL"]
    tiny.environment["ALL_PROXY"] = "socks5://127.0.0.1:9"
    tiny.graph(first="pass")
    done = tiny.ran("run")
    assert done.returncode == 0, done.stderr
    assert (
        "ALL_PROXY: a SOCKS proxy is not used, because Prefect needs socks5:// in its address, and the package socksio"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_a_proxy_that_is_no_address_ends_a_run_before_its_first_stage(tiny: Tiny) -> None:
    tiny.graph(first="pass")
    tiny.environment["HTTPS_PROXY"] = "http://ann:secret@proxy:port"
    done = tiny.ran("run")
    assert (done.returncode, (tiny.folder / "first.txt").exists()) == (2, False)
    assert done.stderr.splitlines()[-1] == (
        "genloop: HTTPS_PROXY is no address of a proxy; expected one like http://HOST:PORT, or no such variable"
    )
    assert "secret" not in done.stderr


@pytest.mark.slow
def test_a_server_that_has_died_refuses_instead_of_keeping_its_callers_waiting(project: Project) -> None:
    """A socket that we held as well would take connections that nobody answers."""
    children = functools.partial(psutil.Process().children, recursive=True)
    before = set(children())  # servers of other tests
    with server.server(project):
        url = PREFECT_API_URL.value()
        assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
        (uvicorn,) = [child for child in set(children()) - before if "uvicorn" in child.cmdline()[:3]]
        uvicorn.kill()
        uvicorn.wait(10)
        until = time.monotonic() + 10
        with pytest.raises(httpx.ConnectError):
            while time.monotonic() < until:
                httpx.get(f"{url}/health", trust_env=False, timeout=2)


def test_a_web_page_at_the_server_s_address_is_no_server(tiny: Tiny) -> None:
    tiny.graph(first="pass")
    with http_servers.answering({"/api/health": (200, "text/html", "<html>Please log in</html>")}) as portal:
        tiny.environment["PREFECT_API_URL"] = f"{portal}/api"
        done = tiny.ran("run")
    assert done.returncode == 1
    assert f"genloop: what answers at {portal}/api is not Prefect's API (HTTP 200, text/html)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            "Traceback (most recent call last):\nalembic.util.exc.CommandError: Can't locate revision identified by '7'\n",
            "was made by a newer Prefect; set PREFECT_HOME to another folder",
        ),
        ("sqlite3.OperationalError: database is locked\n", "is held by another program"),
        (
            "Traceback (most recent call last):\nImportError: no y\nApplication startup failed.\n",
            "start: ImportError: no y",
        ),
        ("", "it said nothing"),
    ],
)
def test_a_server_that_ends_at_once_says_why(tmp_path: Path, output: str, reason: str) -> None:
    log = tmp_path / "server.log"
    log.write_text(output)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
        with pytest.raises(GenloopError) as found:
            server.wait_until_ready("http://127.0.0.1:9/api", ended, log)
    assert reason in str(found.value)
    assert str(found.value).endswith(f"(its output is in {log})")
    assert "Traceback" not in str(found.value)


def test_a_server_that_takes_too_long_says_how_to_give_it_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.0)
    limit = {PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 1}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as slow, temporary_settings(limit):
        started = time.monotonic()
        with pytest.raises(GenloopError, match=r"within 1 s.*PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=N"):
            server.wait_until_ready("http://127.0.0.1:9/api", slow, tmp_path / "server.log")
        assert time.monotonic() - started < 10
        slow.kill()
    assert capsys.readouterr().err == "Prefect's server is still starting; it may take 1 s\n"


@pytest.mark.slow
def test_a_database_of_another_version_is_named(tiny: Tiny) -> None:
    """As after going back to an older Prefect."""
    del tiny.environment["PREFECT_API_URL"]
    home = Path(tiny.environment["PREFECT_HOME"])
    home.mkdir()
    make = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('create table alembic_version (version_num)')"
    make += "; d.execute(\"insert into alembic_version values ('ffffffffffff')\"); d.commit()"
    subprocess.run([sys.executable, "-c", make, str(home / "prefect.db")], check=True, cwd=REPOSITORY)
    tiny.graph(first="pass")
    done = tiny.ran("run")
    assert done.returncode == 1
    assert f"its database in {home} was made by a newer Prefect; set PREFECT_HOME to another folder" in done.stderr
    assert "Traceback" not in done.stderr
    tiny.nothing_left()
