from __future__ import annotations

import pytest

from workspace import terminal


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"plain", ["plain"]),
        (b"0 %\r50 %\r100 %", ["100 %"]),
        (b"\x1b[31mred\x1b[0m\r", ["red"]),
        (b"50 %\r      \r", []),
        (b"\xff\xfe", ["\ufffd\ufffd"]),
    ],
)
def test_the_log_keeps_what_a_line_came_to(written: bytes, kept: list[str]) -> None:
    lines: list[str] = []
    terminal.log_line(written, lines.append)
    assert lines == kept
