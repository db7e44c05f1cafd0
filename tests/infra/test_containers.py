"""Every command that a container would run, as a plain process, with the environment that compose gives it.

The S3 store and the proxy are the very programs that their images have; PostgreSQL is that of a package. Names of services
become addresses of this machine with ports that are free, folders of containers become folders of the test.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import REPOSITORY
from tests.support import compose_file, servers
from tests.support.compose_file import COMPOSE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # a test starts all that its service depends on

PROGRAMS = Path(sys.executable).parent
# Ports that services listen on, beside those that nobody asks for.
LISTENED = {"s3": ("8333", "9327"), "mlflow": ("5000",), "prefect": ("4200",), "worker": ("8080",), "studio": ("8400",)}
LISTENED |= {"proxy": ("80", "443", "2019", "9180")}
WEED = ("master", "volume", "filer")
PATIENCE = 600  # seconds until a service is healthy, or has ended as it should
WITHOUT_PROGRAM = {"postgres", "prometheus", "grafana"}  # no package brings the program of these images
PASSWORD = "pages"
BY_SIGNAL = {0, 143, -signal.SIGTERM}  # how a program may end that was told to


class Stack:
    """The services of compose.yaml on this machine."""

    def __init__(self, folder: Path, postgresql: str) -> None:
        self.folder, self.postgresql = folder, postgresql
        self.image, self.project = folder / "image", folder / "project"
        self.variables = compose_file.example() | {"PAGES_PASSWORD_HASH": hash_of(PASSWORD)}
        self.services: dict[str, Any] = compose_file.load(self.variables)["services"]
        self.ports = {port: str(servers.free_port()) for ports in LISTENED.values() for port in ports}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.ended: dict[str, int] = {}
        self.folders = {
            "/opt/genloop": self.image,
            "/project": self.project,
            "/home/genloop": folder / "home",
            "/tmp/prefect-ui": folder / "prefect-ui",
            "/data": folder / "s3",
        }
        for path in (self.project, folder / "home", folder / "s3"):
            path.mkdir()
        for path in compose_file.build_context():
            (self.image / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / path, self.image / path)

    def here(self, text: str) -> str:
        """The same on this machine."""
        password = self.variables["POSTGRES_PASSWORD"]
        text = text.replace(f"genloop:{password}@postgres:5432", self.postgresql)
        text = re.sub(rf"\b({'|'.join(self.services)})(?=:\d)", "127.0.0.1", text)
        text = text.replace("-ip=s3", "-ip=127.0.0.1").replace("0.0.0.0", "127.0.0.1")
        text = re.sub(r"(?<=[:=])(\d{2,4})\b|^(\d{4})$", lambda found: self.ports.get(found[0], found[0]), text)
        for inside, outside in self.folders.items():
            text = re.sub(rf"(?<![\w.]){inside}(?![\w-])", str(outside), text)
        return text

    def environment(self, name: str) -> dict[str, str]:
        """That of the image and that of compose, and nothing of this machine's."""
        inherited = {}
        if name in compose_file.our_services({"services": self.services}):
            inherited = compose_file.image_variables(REPOSITORY / "infra" / "docker" / "cpu.Dockerfile")
        given = {key: str(value) for key, value in self.services[name].get("environment", {}).items()}
        found = {key: self.here(value) for key, value in {**inherited, **given}.items()}
        home = self.folder / "home"
        return {**found, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": str(home), "TMPDIR": str(self.folder)}

    def command(self, name: str) -> list[str]:
        command = [self.here(str(part)) for part in self.services[name].get("command", [])]
        if name == "s3":  # as the entry point of its image does; in a container nobody else has these ports
            parts = [f"-{part}.{port}={servers.free_port()}" for part in WEED for port in ("port", "port.grpc")]
            return ["weed", *command, *parts]
        return ["caddy", "run", "--adapter", "caddyfile", "--config", str(self.caddyfile())] if name == "proxy" else command

    def caddyfile(self) -> Path:
        """That of infra, with other ports."""
        text = self.here((COMPOSE.parent / "proxy" / "Caddyfile").read_text())
        ports = [f"http_port {self.ports['80']}", f"https_port {self.ports['443']}", f"admin 127.0.0.1:{self.ports['2019']}"]
        path = self.folder / "Caddyfile"
        path.write_text(text.replace("{\n", "\n\t".join(["{", *ports]) + "\n", 1))
        return path

    def start(self, name: str) -> None:
        """Start a service, after what it depends on, and wait until it is healthy or has ended."""
        for needed in self.services[name].get("depends_on", {}):
            self.start(needed)
        if name in self.running or name in self.ended or name in WITHOUT_PROGRAM:
            return
        environment = self.environment(name)
        if name == "proxy":
            environment |= {"XDG_DATA_HOME": str(self.folder / "caddy"), "XDG_CONFIG_HOME": str(self.folder / "caddy")}
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                self.command(name), cwd=self.project, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.running[name] = process
        if self.services[name].get("healthcheck") == {"disable": True}:
            self.ended[name] = process.wait(PATIENCE)
            del self.running[name]
            assert self.ended[name] == 0, self.output(name)
            return
        end = time.monotonic() + PATIENCE
        while self.check(name).returncode:
            assert process.poll() is None, f"{name} has ended: {self.output(name)}"
            assert time.monotonic() < end, f"{name} is not healthy: {self.check(name).stderr} {self.output(name)}"
            time.sleep(0.5)

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """The health check of compose."""
        kind, *command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return subprocess.run(
            [self.here(part) for part in command], env=self.environment(name), capture_output=True, text=True, check=False
        )

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """`docker compose run SERVICE COMMAND`."""
        return subprocess.run(
            command, cwd=self.project, env=self.environment(name), capture_output=True, text=True, check=False
        )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def output(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")[-3000:]

    def stop(self, name: str) -> int:
        """`docker stop`: SIGTERM to the process, and its exit code within the time that compose gives it."""
        process = self.running[name]
        process.terminate()
        code = process.wait(int(self.services[name].get("stop_grace_period", "10s").rstrip("s")))
        del self.running[name]
        return code

    def close(self) -> None:
        for process in self.running.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()

    def ask(self, host: str, path: str, **options: Any) -> httpx.Response:
        """A page through the proxy, by TLS, whose certificate is verified."""
        authority = self.folder / "caddy" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        context = ssl.create_default_context(cafile=str(authority))
        with httpx.Client(verify=context, trust_env=False, timeout=30) as client:
            request = client.build_request(
                "GET",
                f"https://127.0.0.1:{self.ports['443']}{path}",
                headers={"Host": host, **options.pop("headers", {})},
                extensions={"sni_hostname": host},
            )
            return client.send(request, **options)


def hash_of(password: str) -> str:
    command = [PROGRAMS / "caddy", "hash-password", "--plaintext", password]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with ExitStack() as opened:
        address = opened.enter_context(servers.postgresql())
        for name in ("events", "mlflow", "prefect"):
            servers.make_database(address, name)
        found = Stack(tmp_path_factory.mktemp("compose"), address)
        opened.callback(found.close)
        yield found


NAMES = compose_file.order(compose_file.load(compose_file.example()))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_PROGRAM])
def test_a_service_starts_and_is_healthy_or_ends_well(stack: Stack, name: str) -> None:
    stack.start(name)
    assert stack.ended.get(name) == 0 or stack.check(name).returncode == 0


def test_setup_can_run_again(stack: Stack) -> None:
    stack.start("setup")
    done = stack.run("setup", *stack.command("setup"))
    assert done.returncode == 0, done.stderr
    assert "made" not in done.stdout


def test_the_store_refuses_who_has_no_key(stack: Stack) -> None:
    stack.start("setup")
    assert httpx.get(f"{stack.here('http://s3:8333')}/genloop", trust_env=False).status_code == 403


def test_the_worker_has_the_flows_with_their_schedules(stack: Stack) -> None:
    stack.start("worker")
    done = stack.run("worker", "prefect", "deployment", "ls")
    assert done.returncode == 0, done.stderr
    for flow in ("retrain", "feedback", "promote"):
        assert f"{flow}/genloop" in done.stdout
    assert "genloop" in stack.run("worker", "prefect", "work-pool", "ls").stdout


def test_commands_of_genloop_find_all_services(stack: Stack) -> None:
    stack.start("worker")
    done = stack.run("worker", "genloop", "status", "--json")
    assert done.returncode == 0, done.stderr
    assert '"champion": null' in done.stdout


def test_the_page_is_there_by_tls_and_what_is_ours_is_not(stack: Stack) -> None:
    stack.start("proxy")
    page = stack.ask("localhost", "/")
    assert page.status_code == 200, page.text
    assert "max-age" in page.headers["strict-transport-security"]
    assert "secure" in page.headers["set-cookie"].lower()  # the studio knows that people come by TLS
    assert [stack.ask("localhost", path).status_code for path in ("/metrics", "/readyz", "/healthz")] == [404, 404, 200]
    plain = httpx.get(f"http://127.0.0.1:{stack.ports['80']}/", headers={"Host": "localhost"}, trust_env=False)
    assert plain.status_code == 308
    assert plain.headers["location"].startswith("https://localhost")


def test_mlflow_asks_for_a_password(stack: Stack) -> None:
    stack.start("proxy")
    assert stack.ask("mlflow.localhost", "/").status_code == 401
    assert stack.ask("mlflow.localhost", "/", auth=("admin", "wrong")).status_code == 401
    found = stack.ask("mlflow.localhost", "/", auth=("admin", PASSWORD))
    assert found.status_code == 200
    assert "MLflow" in found.text


def test_prefect_asks_for_a_password_and_refuses_other_sites(stack: Stack) -> None:
    stack.start("proxy")
    user, _, password = stack.variables["PREFECT_AUTH"].partition(":")
    assert stack.ask("prefect.localhost", "/api/admin/version").status_code == 401
    assert stack.ask("prefect.localhost", "/api/admin/version", auth=(user, password)).status_code == 200
    settings = stack.ask("prefect.localhost", "/ui-settings").json()
    assert (settings["api_url"], settings["auth"]) == ("https://prefect.localhost/api", "BASIC")
    headers = {"Origin": "https://evil.example"}
    foreign = stack.ask("prefect.localhost", "/api/admin/version", auth=(user, password), headers=headers)
    assert "access-control-allow-origin" not in foreign.headers
    own = {"Origin": "https://prefect.localhost"}
    allowed = stack.ask("prefect.localhost", "/api/admin/version", auth=(user, password), headers=own)
    assert allowed.headers["access-control-allow-origin"] == "https://prefect.localhost"


def test_prometheus_finds_the_figures_where_it_asks_for_them(stack: Stack) -> None:
    stack.start("proxy")
    config = compose_file.read_yaml(COMPOSE.parent / "monitoring" / "prometheus.yaml")
    targets = {job["job_name"]: job["static_configs"][0]["targets"][0] for job in config["scrape_configs"]}
    begin = {"studio": "genloop_champion_version", "proxy": "caddy_", "s3": "SeaweedFS_"}
    for name, start in begin.items():
        host = {"Host": targets[name]}  # as Prometheus asks; the studio answers only to names that it knows
        found = httpx.get(f"http://{stack.here(targets[name])}/metrics", headers=host, trust_env=False)
        assert found.status_code == 200, name
        assert start in found.text, name


def test_every_service_ends_when_it_is_told_to(stack: Stack) -> None:
    stack.start("worker")
    stack.start("proxy")
    codes = {name: stack.stop(name) for name in reversed(NAMES) if name in stack.running}
    assert set(codes) == {"s3", "mlflow", "prefect", "worker", "studio", "proxy"}
    assert {name: code for name, code in codes.items() if code not in BY_SIGNAL} == {}
