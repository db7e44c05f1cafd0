"""Where the database is, what is said when it is unusable, and that its tables are the newest."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import alembic.command
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.feedback.events import Sample
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store import database, inspection, tables
from pipelines.feedback.store.event_store import EventCounts, EventStore
from tests.conftest import REPOSITORY
from tests.feedback.writer import vote
from tests.support import read_only
from tests.support.votes import votes

MIGRATIONS = REPOSITORY / "pipelines/feedback/store/migrations"


def test_by_default_it_is_a_file_in_the_project_s_root(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        (project.root / name).touch()
    (project.root / "deep").mkdir()
    monkeypatch.chdir(project.root / "deep")
    url = Project.find(environment={}).database_url
    assert url == project.database_url
    assert not database.reachable(url)
    assert not project.data.exists()  # asking made nothing
    EventStore.open(url).close()
    assert (project.data / "feedback.db").is_file()
    assert database.reachable(url)


def test_the_environment_names_another(project: Project) -> None:
    EventStore.open(project.with_variables({database.VARIABLE: "sqlite:///other/place.db"}).database_url).close()
    assert (project.root / "other/place.db").is_file()
    EventStore.open(project.with_variables({database.VARIABLE: f"sqlite:///{project.root}/absolute.db"}).database_url).close()
    assert (project.root / "absolute.db").is_file()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("feedback.db", "what came is no URL"),
        ("sqlite://", "a database in memory keeps nothing"),
        ("sqlite:///:memory:", "a database in memory keeps nothing"),
        ("sqlite:///file:x?mode=memory&uri=true", "a database in memory keeps nothing"),
        ("mysql://someone:secret@host/name", "came mysql://"),
        ("postgresql://someone:secret@host:port/name", "what came is no URL"),
    ],
)
def test_a_url_that_is_none_is_said_without_its_password(project: Project, url: str, words: str) -> None:
    with pytest.raises(InputError, match="expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME") as found:
        EventStore.open(url)
    assert words in str(found.value)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_missing_package_is_said_with_the_extra_that_has_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"psycopg is missing.*pip install 'genloop\[postgres\]'"):
        EventStore.open(f"{scheme}://someone@localhost/name")


def test_a_server_that_does_not_answer_is_said_without_its_password(project: Project) -> None:
    with pytest.raises(GenloopError, match=r"does not answer as it should.*see GENLOOP_DATABASE_URL") as found:
        EventStore.open("postgresql://someone:secret@127.0.0.1:9/name")
    assert "secret" not in str(found.value)
    assert "Traceback" not in str(found.value)


def test_a_file_that_is_no_database_is_left_alone(project: Project) -> None:
    (project.root / "notes.db").write_text("these are notes\n" * 100)
    with pytest.raises(GenloopError, match=r"notes\.db: file is not a database; restore it from a backup"):
        EventStore.open(f"sqlite:///{project.root}/notes.db")
    assert (project.root / "notes.db").read_text().startswith("these are notes")


def test_a_writer_that_never_ends_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAIT", 0.1)
    with EventStore.open(project.database_url) as store:
        holder = sqlite3.connect(project.data / "feedback.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(GenloopError, match="another process has been writing"):
            store.add([vote("a")])
        assert store.counts() == EventCounts(0, 0)  # readers do not wait
        holder.execute("ROLLBACK")
        store.add([vote("a")])
        holder.close()


def test_what_is_committed_outlives_a_power_cut(project: Project) -> None:
    with EventStore.open(project.database_url) as store, store.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL


def test_an_empty_database_gets_the_tables_that_the_code_knows(url: str) -> None:
    with EventStore.open(url) as store, store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": tables.VERSION_TABLE})
        assert compare_metadata(context, tables.metadata) == []
        assert context.get_current_revision() == tables.REVISION
        assert {index["name"] for index in inspect(connection).get_indexes("events")} == {
            index.name for index in tables.events.indexes
        }


def test_the_newest_migration_is_the_one_that_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [tables.REVISION]


def test_a_database_that_is_there_is_opened_as_it_is(url: str) -> None:
    with EventStore.open(url) as store:
        store.add([vote("a")])
        store.claim("first")
    with EventStore.open(url) as store:
        assert store.events_in("first") == [vote("a")]
        assert store.batches() == {"first": 1}


def test_a_database_that_others_use_too_keeps_their_tables(url: str) -> None:
    engine = create_engine(database.address(url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))
    with EventStore.open(url) as store:
        store.add([vote("a")])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "theirs"
    engine.dispose()


def test_a_migration_that_fails_half_way_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = database.upgrade

    def broken(connection: database.Connection) -> None:
        upgrade(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(database, "upgrade", broken)
    with pytest.raises(KeyboardInterrupt):
        EventStore.open(url)
    engine = create_engine(database.address(url))
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    monkeypatch.undo()
    with EventStore.open(url) as store:
        store.add([vote("a")])


def test_samples_and_favourites_of_before_there_were_prompts_stay(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine(database.address(url))
    monkeypatch.setattr(tables, "REVISION", "0005")
    monkeypatch.setattr(alembic.command, "upgrade", lambda config, _, upgrade=alembic.command.upgrade: upgrade(config, "0005"))
    database.connect(url).dispose()
    monkeypatch.undo()
    with engine.begin() as connection:
        assert "prompt" not in {column["name"] for column in inspect(connection).get_columns("samples")}
        columns, rows = "version, seed, label, guided, tries", "(1, 7, -1, true, 3), (1, 8, 2, false, 1)"
        connection.execute(text(f"INSERT INTO samples ({columns}) VALUES {rows}"))
        connection.execute(text("INSERT INTO favourites (rater, version, seed, label, at) VALUES ('ann', 1, 8, 2, '2026')"))
    engine.dispose()
    plain, labelled = Sample(version=1, seed=7), Sample(version=1, seed=8, label=2)
    with EventStore.open(url) as store:
        assert store.shown([plain, labelled]) == {
            plain: ShownSample(plain, guided=True, tries=3),
            labelled: ShownSample(labelled, tries=1),
        }
        assert store.favourites("ann") == [labelled]
        assert store.add_samples([ShownSample(plain), ShownSample(Sample(version=1, seed=7, prompt="a fox"))]) == 1
        with store.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": tables.VERSION_TABLE})
            assert compare_metadata(context, tables.metadata) == []


def test_a_database_of_a_newer_genloop_is_refused(url: str) -> None:
    with EventStore.open(url) as store, store.writer.begin() as connection:
        connection.execute(text(f"UPDATE {tables.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(GenloopError, match=r"of a newer Genloop \(revision 9999.*update this Genloop"):
        EventStore.open(url)


def test_many_first_users_at_once_make_the_tables_once(url: str) -> None:
    """T34: several processes that come first must not make each other fail; test_store has them as processes."""

    def first(name: int) -> int:
        with EventStore.open(url) as store:
            store.add([vote(f"v{name}")])
            return store.counts().new

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(first, range(8))) == 8


def test_nothing_of_the_database_is_loaded_before_it_is_needed() -> None:
    program = (
        "import sys, genloop, commands.import_feedback, pipelines.feedback.events, pipelines.feedback.sealed.uploads\n"
        "heavy = {'sqlalchemy', 'alembic', 'psycopg', 'numpy', 'pyarrow', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_alembic_is_loaded_for_a_migration_only(project: Project) -> None:
    program = "import sys; from pipelines.feedback.store.event_store import EventStore; "
    program += f"EventStore.open({project.database_url!r}).close(); print('alembic' in sys.modules)"
    for loaded in ("True", "False"):
        run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); {program}"]
        done = subprocess.run(run, cwd=project.root, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == loaded


def hang_up(store: EventStore) -> None:
    """The server ends all connections of this database but the one that asks, as when it is restarted."""
    engine = create_engine(store.engine.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
    engine.dispose()


def test_a_server_that_was_restarted_while_nobody_asked_is_no_matter(
    postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with EventStore.open(postgresql()) as store:
        store.add([vote("a")])
        hang_up(store)
        monkeypatch.setattr(database, "IDLE", 0)
        store.add([vote("b")])
        hang_up(store)
        assert len(store.claim("first")) == 2


def test_a_server_that_hangs_up_in_between_is_said_once(postgresql: Callable[[], str]) -> None:
    with EventStore.open(postgresql()) as store:
        hang_up(store)
        with pytest.raises(GenloopError, match="does not answer as it should"):
            store.add([vote("a")])
        store.add([vote("a")])


@pytest.fixture
def closed(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Takes the right to write the database; its URL."""

    def close() -> str:
        read_only.close(project.data)
        read_only.go_by_mode(monkeypatch)
        return project.database_url

    yield close
    read_only.open_again(project.data)


def test_a_database_that_cannot_be_written_is_read(project: Project, closed: Callable[[], str]) -> None:
    with EventStore.open(project.database_url) as store:
        store.add(votes(0, 5))
        store.claim("x", 2)
    url = closed()
    before = read_only.names(project.data)
    assert before == ["feedback.db", "feedback.db.lock"]
    assert not database.writable(url)
    with EventStore.open(url) as store:
        assert store.counts() == EventCounts(new=3, folded=2)
        assert [event.id for event in store.events_in("x")] == ["e0", "e1"]
        with pytest.raises(GenloopError, match=r"feedback\.db: attempt to write a readonly database: it can only be read here"):
            store.add(votes(9, 1))
    assert inspection.describe(url).endswith("tables of revision 0006, the newest")
    assert read_only.names(project.data) == before


def test_what_another_process_has_just_written_is_read_too(project: Project, closed: Callable[[], str]) -> None:
    """It is in SQLite's log of writes, beside the database."""
    with EventStore.open(project.database_url) as writer:
        writer.add(votes(0, 3))
        assert (project.data / "feedback.db-wal").stat().st_size
        with EventStore.open(closed()) as store:
            assert store.counts() == EventCounts(new=3, folded=0)


def test_a_missing_database_is_not_made_in_a_folder_that_cannot_be_written(project: Project, closed: Callable[[], str]) -> None:
    project.data.mkdir()
    with pytest.raises(GenloopError, match=r"feedback\.db: there is no database, and none can be made"):
        EventStore.open(closed())
    assert read_only.names(project.data) == []


def test_an_older_database_that_cannot_be_written_says_who_can(project: Project, closed: Callable[[], str]) -> None:
    EventStore.open(project.database_url).close()
    with sqlite3.connect(project.data / "feedback.db") as connection:
        connection.execute(f"UPDATE {tables.VERSION_TABLE} SET version_num = '0002'")
    with pytest.raises(GenloopError, match=r"tables are of an older Genloop, .* run `genloop status` once as its owner"):
        EventStore.open(closed())
