"""URLs of services as people may see them: without what opens the door."""

from __future__ import annotations

import re

IN_QUERY = re.compile(r"(?i)([?&][a-z_]*(?:password|passwd|pwd|secret|token)[a-z_]*=)[^&\s]*")


def hide_password(url: str) -> str:
    """The URL without its user and password, wherever it has them: before an `@`, or as a parameter."""
    start, at, end = url.rpartition("@")
    return IN_QUERY.sub(r"\1…", f"{start.partition('://')[0]}://…@{end}" if at and "://" in start else url)
