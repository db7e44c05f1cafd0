"""What stands in for a home, a user's name and a folder for temporary files, and which addresses need no proxy."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipelines.core import environment
from pipelines.core.environment import proxy_faults, substitutes
from pipelines.core.errors import InputError
from tests.conftest import REPOSITORY
from tests.support import http_servers

NOBODY = "import pwd; pwd.getpwuid = lambda number: {}[number]\n"  # a user id without a name, as a container has it
UNWRITABLE = "/proc"  # where not even root can make a file


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that takes the home's place; the user id has no name."""

    def unknown(number: int) -> pwd.struct_passwd:
        raise KeyError(number)

    monkeypatch.setattr(environment.pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"genloop-home-{os.getuid()}"


@pytest.mark.parametrize(
    ("home", "why"),
    [
        (None, "HOME is not set"),
        ("", "HOME is not set"),
        ("relative", "HOME=relative is no folder that can be read"),
        ("/nonexistent", "HOME=/nonexistent is no folder that can be read"),
        ("/dev/null", "HOME=/dev/null is no folder that can be read"),
    ],
)
def test_where_there_is_no_home_a_private_folder_is_one(private: Path, home: str | None, why: str) -> None:
    found = substitutes({} if home is None else {"HOME": home})
    assert (found.variables["HOME"], found.variables["USER"]) == (str(private), f"user-{os.getuid()}")
    assert found.messages == (f"no home folder ({why}): {private} is used; set HOME to choose another",)
    assert private.stat().st_mode & 0o777 == 0o700
    assert environment.substituted(found.variables) == ["HOME"]
    assert substitutes(found.variables).messages == ()  # a program that this one starts says nothing


def test_a_home_that_cannot_be_written_stays_and_what_libraries_write_goes_elsewhere(private: Path, tmp_path: Path) -> None:
    found = substitutes({"HOME": UNWRITABLE, "USER": "ann", "MPLCONFIGDIR": str(tmp_path)})
    moved = {"PREFECT_HOME": ".prefect", "KERAS_HOME": ".keras", "XDG_CACHE_HOME": ".cache"}
    assert found.variables.items() >= {name: str(private / folder) for name, folder in moved.items()}.items()
    assert not {"HOME", "USER", "MPLCONFIGDIR"} & found.variables.keys()
    assert environment.substituted(found.variables) == list(moved)
    (message,) = found.messages
    assert message.startswith(f"the home folder {UNWRITABLE} cannot be written: what belongs there goes to {private}")
    assert substitutes({"HOME": UNWRITABLE, "USER": "ann", "MPLCONFIGDIR": "x", **found.variables}).messages == ()


def test_what_an_image_has_brought_into_a_home_that_cannot_be_written_is_still_read(
    private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    for folder in (".cache/genloop", ".cache/pip", ".keras/datasets", ".prefect"):
        (home / folder).mkdir(parents=True)
    writable = environment.is_writable
    monkeypatch.setattr(environment, "is_writable", lambda folder: home not in (folder, *folder.parents) and writable(folder))
    found = substitutes({"HOME": str(home), "USER": "ann"}).variables
    assert (found["KERAS_HOME"], found["XDG_CACHE_HOME"]) == (str(home / ".keras"), str(home / ".cache"))
    assert found["PREFECT_HOME"] == str(private / ".prefect")


def test_an_environment_in_order_is_left_as_it_is(tmp_path: Path) -> None:
    found = substitutes({"HOME": str(tmp_path), "TMPDIR": str(tmp_path)})
    assert environment.substituted({"HOME": str(tmp_path), **found.variables}) == []
    assert (found.messages, set(found.variables) - {"USER", "DVC_SITE_CACHE_DIR"}) == ((), set())


@pytest.mark.parametrize("missing", ["", "tmp", "tmp/dvc"])
def test_dvc_s_indexes_go_elsewhere_only_where_their_place_cannot_be_made(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that has no /var/tmp at all."""
    (tmp_path / missing).parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(environment, "DVC_SITE_CACHE", tmp_path / "tmp/dvc/repo")
    assert environment.dvc_cache({}).variables == {}
    monkeypatch.setattr(environment, "is_writable", lambda folder: tmp_path not in (folder, *folder.parents))
    assert set(environment.dvc_cache({}).variables) == {"DVC_SITE_CACHE_DIR"}


def test_an_address_of_a_kind_that_this_machine_does_not_know_is_another_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(family: int) -> None:
        raise OSError("address family not supported")

    monkeypatch.setattr(environment.socket, "socket", refuse)
    assert not environment.is_this_machine("fd00::1")


def test_the_home_of_the_user_account_is_used_where_the_variable_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = pwd.struct_passwd(("ann", "x", os.getuid(), 0, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(environment.pwd, "getpwuid", lambda number: account)
    found = substitutes({})
    assert found.variables.get("HOME") == str(tmp_path)
    assert found.messages == ()
    assert "USER" not in found.variables


@pytest.mark.parametrize("given", ["/nonexistent", "/proc", "/dev/null"])
def test_a_folder_for_temporary_files_that_cannot_be_written_is_replaced(private: Path, tmp_path: Path, given: str) -> None:
    found = substitutes({"HOME": str(tmp_path), "TMPDIR": given})
    assert found.variables["TMPDIR"] == str(tmp_path)
    assert found.messages == (f"TMPDIR={given} cannot be written; temporary files go to {tmp_path}",)


def test_where_no_folder_can_be_written_it_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(InputError, match="set TMPDIR to one that can"):
        substitutes({"HOME": UNWRITABLE})


def test_a_private_folder_that_somebody_else_may_write_is_not_used(private: Path) -> None:
    private.mkdir()
    private.chmod(0o777)
    other = Path(substitutes({}).variables["HOME"])
    assert other != private
    assert other.stat().st_mode & 0o777 == 0o700
    other.rmdir()


@pytest.mark.parametrize(
    "variables",
    [{}, {"HOME": "/nonexistent"}, {"HOME": UNWRITABLE, "TMPDIR": UNWRITABLE}, {"HOME": "", "TERM": "dumb", "COLUMNS": "0"}],
    ids=str,
)
def test_a_command_works_for_a_user_id_without_a_name_or_home(tmp_path: Path, variables: dict[str, str]) -> None:
    """DVC and MLflow ask for both."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    program = f"{NOBODY}import genloop; genloop.main()"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **variables}
    done = subprocess.run(
        [sys.executable, "-c", program, "status"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "register: never" in done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1 + ("TMPDIR" in variables), lines
    assert all(line.startswith("genloop: ") and ("set HOME" in line or "TMPDIR" in line) for line in lines)


PROXIES = [
    {name: "URL"}
    for lower in ("http_proxy", "https_proxy", "all_proxy")
    for name in (lower, lower.upper())
]  # fmt: skip


def ask(urls: list[str], variables: dict[str, str]) -> list[str]:
    """What httpx, requests and urllib get from the URLs, in a program of Genloop's in this environment."""
    program = f"""
import sys, urllib.request
from pipelines.core import processes
processes.set_defaults()
import httpx, requests
for url in {urls}:
    print(httpx.get(url, timeout=5).text)
    print(requests.get(url, timeout=5).text)
    print(urllib.request.urlopen(url, timeout=5).read().decode())
"""
    outside = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**outside, "PYTHONPATH": str(REPOSITORY), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split() if done.returncode == 0 else [done.stderr.strip().splitlines()[-1]]


@pytest.mark.parametrize("variables", [*PROXIES, {"HTTP_PROXY": "URL", "NO_PROXY": "*"}], ids=lambda v: "+".join(v))
def test_no_proxy_is_asked_for_this_machine(variables: dict[str, str]) -> None:
    with http_servers.proxy() as (proxy, asked), http_servers.answering({"/here": (200, "text/plain", "here")}) as server:
        found = {name: value.replace("URL", proxy) for name, value in variables.items()}
        assert ask([f"{server}/here", f"{server.replace('127.0.0.1', 'localhost')}/here"], found) == ["here"] * 6
        assert asked == []


@pytest.mark.parametrize("host", ["127.0.0.2", "0.0.0.0", socket.gethostname()])
def test_a_server_of_the_settings_on_this_machine_needs_no_proxy_whatever_its_address_is_called(host: str) -> None:
    with http_servers.proxy() as (proxy, asked), http_servers.answering({"/api": (200, "", "here")}, "0.0.0.0") as server:
        url = f"http://{host}:{server.rpartition(':')[2]}/api"
        assert ask([url], {"http_proxy": proxy, "MLFLOW_TRACKING_URI": url}) == ["here"] * 3
        assert asked == []


def test_a_proxy_stays_in_force_for_other_machines() -> None:
    with http_servers.proxy() as (proxy, asked):
        assert ask(["http://far.example/there"], {"HTTP_PROXY": proxy.removeprefix("http://"), "NO_PROXY": "near.example"})
        assert asked[0] == "GET http://far.example/there"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("localhost,127.0.0.1,0.0.0.0",) * 2),
        ({"no_proxy": "a.example, localhost"}, ("a.example,localhost,127.0.0.1,0.0.0.0",) * 2),
        ({"NO_PROXY": ".b.example"}, (".b.example,localhost,127.0.0.1,0.0.0.0",) * 2),
        ({"no_proxy": "a", "NO_PROXY": "b"}, ("a,localhost,127.0.0.1,0.0.0.0", "b,localhost,127.0.0.1,0.0.0.0")),
        ({"NO_PROXY": "*"}, ("*", "*")),
        ({"PREFECT_API_URL": "http://[::1]:4200/api"}, ("localhost,127.0.0.1,0.0.0.0,::1",) * 2),
        ({"PREFECT_API_URL": "https://prefect.example/api"}, ("localhost,127.0.0.1,0.0.0.0",) * 2),
        ({"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}, ("localhost,127.0.0.1,0.0.0.0",) * 2),
        ({"MLFLOW_TRACKING_URI": "http://[::1"}, ("localhost,127.0.0.1,0.0.0.0",) * 2),
        ({"MLFLOW_TRACKING_URI": "http://127.9.9.9"}, ("localhost,127.0.0.1,0.0.0.0,127.9.9.9",) * 2),
    ],
    ids=str,
)
def test_what_the_user_has_said_of_proxies_is_kept_and_this_machine_added(
    given: dict[str, str], expected: tuple[str, str]
) -> None:
    found = environment.bypass_proxies({"HTTPS_PROXY": "http://proxy.example:3128", **given})
    assert (found["no_proxy"], found["NO_PROXY"]) == expected


def test_where_there_is_no_proxy_nothing_is_set() -> None:
    """On a Mac these variables would hide the system's own settings."""
    assert environment.bypass_proxies({"NO_PROXY": "a.example", "http_proxy": ""}) == {}


@pytest.mark.parametrize(
    "url",
    ["proxy:3128", "http://proxy:3128", "http://ann:secret@proxy:3128/", "socks5://proxy", "socks://proxy:1080/", "[::1]:8"],
)
def test_an_address_of_a_proxy_is_accepted_with_and_without_a_scheme(url: str) -> None:
    assert proxy_faults({"HTTP_PROXY": url}) == []


def test_a_socks_proxy_that_httpx_cannot_use_is_known_with_and_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"all_proxy": "socks5://proxy", "ALL_PROXY": "socks://proxy:1080/", "http_proxy": "proxy:1"}
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    assert environment.socks_proxies(variables) == ["all_proxy", "ALL_PROXY"]
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: object())
    assert environment.socks_proxies(variables) == ["ALL_PROXY"]


@pytest.mark.parametrize(
    "url", ["http://", "ftp://proxy:21", "http://proxy:port", "http://ann:secret@:3128", "://", "http://[::1"]
)
def test_a_proxy_that_is_no_address_is_named_without_its_value(url: str) -> None:
    """The value may hold a password."""
    assert proxy_faults({"https_proxy": url, "HTTP_PROXY": "proxy:1"}) == [
        "https_proxy is no address of a proxy; expected one like http://HOST:PORT, or no such variable"
    ]
