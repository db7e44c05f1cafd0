"""The block `notify` of params.yaml: who is told."""

from __future__ import annotations

import pytest

from pipelines.core.errors import InputError
from tests.conftest import MakeParams


@pytest.mark.parametrize("url", [None, "https://example.org/hooks/genloop", "http://127.0.0.1:8000"])
def test_a_webhook_is_an_address_or_none(url: str | None, make_params: MakeParams) -> None:
    assert make_params({"notify.webhook": url}).notify.webhook == url


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("notify.webhook", "ftp://example.org", r"notify\.webhook: expected an address like https://"),
        ("notify.webhook", "example.org/hook", r"notify\.webhook: expected an address like https://"),
        ("notify.webhook", "http://example.org:port/", r"notify\.webhook: expected an address like https://"),
        (
            "notify.webhook",
            "https://ann:secret@example.org",
            r"notify\.webhook: expected no password in it, .* GENLOOP_WEBHOOK_URL",
        ),
        ("notify.events", ["failed", "fold"], r"notify\.events"),
        ("notify.email", "ann@example.org", r"notify\.email"),
    ],
)
def test_anything_else_stops_before_a_run(key: str, value: object, words: str, make_params: MakeParams) -> None:
    with pytest.raises(InputError, match=words):
        make_params({key: value})
