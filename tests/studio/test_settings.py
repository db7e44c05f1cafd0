"""What the environment says of a studio is checked before it listens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.core.project import Project
from studio import settings, translations
from studio.settings import ApiKey

TEMPLATES = Path(translations.__file__).with_name("templates")


def test_keys_have_names_and_scopes() -> None:
    found = settings.read_keys({"GENLOOP_API_KEYS": "shop:generate+events:0123456789abcdef, boss:admin:fedcba:9876543210"})
    assert found == (
        ApiKey("shop", frozenset({"generate", "events"}), "0123456789abcdef"),
        ApiKey("boss", frozenset({"admin"}), "fedcba:9876543210"),
    )
    assert settings.read_keys({}) == ()


WRONG_KEYS = (
    "shop",
    "shop:generate",
    "shop:all:0123456789abcdef",
    "shop::0123456789abcdef",
    ":events:0123456789abcdef",
    "a:events:short",
)


@pytest.mark.parametrize("text", WRONG_KEYS)
def test_a_key_that_is_none_is_named_by_its_place_and_not_shown(text: str) -> None:
    with pytest.raises(InputError, match="entry 2 is not name:scope") as error:
        settings.read_keys({"GENLOOP_API_KEYS": f"a:admin:0123456789abcdef,{text}"})
    assert "0123456789abcdef" not in str(error.value)


def test_two_entries_have_two_keys() -> None:
    with pytest.raises(InputError, match="two entries have the same key"):
        settings.read_keys({"GENLOOP_API_KEYS": "a:admin:0123456789abcdef,b:admin:0123456789abcdef"})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::"])
def test_beyond_this_machine_a_secret_is_needed(project: Project, host: str) -> None:
    with pytest.raises(InputError, match="GENLOOP_SECRET_KEY is missing: other machines can reach"):
        settings.read(project, host, 8400)
    secret = project.with_variables({"GENLOOP_SECRET_KEY": "x" * 32})
    assert settings.read(secret, host, 8400).secret == "x" * 32
    with pytest.raises(InputError, match="expected at least 32 characters, came 5"):
        settings.read(project.with_variables({"GENLOOP_SECRET_KEY": "short"}), host, 8400)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_this_machine_the_project_s_own_secret_outlives_a_restart(project: Project, host: str) -> None:
    found = settings.read(project, host, 8400)
    assert len(found.secret) == 64
    assert settings.read(project, host, 8400).secret == found.secret
    assert (project.logs / "studio.secret").stat().st_mode & 0o777 == 0o600


def test_every_text_of_the_page_is_translated() -> None:
    pattern = re.compile(r"""\bt\(\s*(?:"([^"]*)"|'([^']*)')""")
    found = {one or other for path in TEMPLATES.glob("*.html") for one, other in pattern.findall(path.read_text())}
    assert len(found) > 80
    for code in set(translations.LANGUAGES) - {"en"}:
        known = json.loads((translations.FOLDER / f"{code}.json").read_text(encoding="utf-8"))
        assert found <= known.keys()
        for text, translated in known.items():
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", translated)), text


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "de,zh;q=0.3,en;q=0.8", "en"),
        (None, "", "en"),
        (None, "fr;q=x,*", "en"),
        ("en", "zh-CN", "en"),
        ("xx", "zh-CN", "zh"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browser_s(cookie: str | None, accepted: str, language: str) -> None:
    assert translations.choose(cookie, accepted) == language
