"""Files and records that are no feedback, but often taken for it: what they are, and what to import instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipelines.core import formats

UNPACK = "unpack it, and import what is in it"
JSON_EXPORT = "choose the format JSON when you export, which has the answers with their raters and times"
FROM_SERVER = "install `argilla>=2`, copy the dataset to a server of version 2, and export that with `dataset.records.to_json`"
NO_ANSWERS = "holds boxes or outlines in images, and not what people like; docs/feedback.md has what can be imported"

# How files begin -> what they are, where there is more to say than pipelines/core/formats.py does.
BEGINNINGS = {
    b"\x1f\x8b": f"a gzip archive; {UNPACK}",
    b"BZh": f"a bzip2 archive; {UNPACK}",
    b"\xfd7zXZ": f"an xz archive; {UNPACK}",
    b"\x28\xb5\x2f\xfd": f"a zstd archive; {UNPACK}",
    b"7z\xbc\xaf": f"a 7-Zip archive; {UNPACK}",
    b"PK\x03\x04": f"a zip archive; {UNPACK}. If it is a workbook of Excel or LibreOffice, save each sheet as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "an old workbook of Excel; save each sheet as CSV in UTF-8",
    b"SQLite format 3": "an SQLite database; export the answers from the tool that it belongs to",
    b"\x89PNG": "a PNG image; an upload is an event with the path of its image",
    b"\xff\xd8\xff": "a JPEG image; an upload is an event with the path of its image",
}
MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(!doctype html|html|\?xml|annotations|!--)", re.IGNORECASE)
COCO = re.compile(rb'\s*\{\s*"(info|licenses|images|categories)"\s*:')  # too large to be read as one record, as a rule

ANSWERED = {"annotations", "completions", "responses"}  # what a record of an export that can be read has, one of them
# Keys of a record, or columns of a table -> what has them. The first that fits counts.
WITHOUT_ANSWERS = (
    ({"data", "predictions"}, f"tasks of Label Studio without annotations; {JSON_EXPORT}"),
    ({"external_id", "metadata"}, f"rows of a FeedbackDataset of Argilla 1, as its `format_as` gives them; {FROM_SERVER}"),
)
RECORDS = (
    ({"annotation_id", "lead_time"}, f"Label Studio's JSON_MIN or CSV, which does not say what is an answer; {JSON_EXPORT}"),
    ({"annotator", "lead_time"}, f"Label Studio's JSON_MIN or CSV, which does not say what is an answer; {JSON_EXPORT}"),
    ({"annotation", "annotation_agent"}, f"records of Argilla 1 (text classification), without the raters' ids; {FROM_SERVER}"),
    ({"prediction_agent", "annotation"}, f"records of Argilla 1 (text classification), without the raters' ids; {FROM_SERVER}"),
    ({"items", "total"}, "a page of records as Argilla's server sends it; import the list in its `items` (`jq .items`)"),
    ({"images", "annotations"}, f"COCO JSON, which {NO_ANSWERS}"),
    ({"shapes", "tracks"}, f"an export of CVAT, which {NO_ANSWERS}"),
    ({"items", "categories"}, f"an export of CVAT (Datumaro), which {NO_ANSWERS}"),
    ({"asset", "regions"}, f"an export of VoTT, which {NO_ANSWERS}"),
    ({"assets", "securityToken"}, f"an export of VoTT, which {NO_ANSWERS}"),
    ({"shapes", "imagePath"}, f"an annotation of LabelMe, which {NO_ANSWERS}"),
    ({"data_row", "projects"}, "an export of Labelbox, which is not read; write the answers as JSON lines (docs/feedback.md)"),
)
ERROR_KEYS = {"detail", "error", "errors", "message", "msg", "code", "status", "status_code", "exc_info", "version", "id"}


def describe_start(start: bytes) -> str | None:
    """What a file is that begins with these bytes, where these are not of a format that feedback is read from."""
    if markup := MARKUP.match(start):
        if markup[1].lower() in (b"!doctype html", b"html"):
            return "a web page, often one that asks to log in or tells an error; open it in a browser, and export again"
        return f"XML, as CVAT and Pascal VOC export it; it {NO_ANSWERS}"
    names = formats.BEGINNINGS | BEGINNINGS | {b"PAR1": None}
    return next((name for beginning, name in names.items() if start.startswith(beginning)), None)


def describe_record(content: Any, start: bytes = b"") -> str | None:
    """What a file is whose first record, or the columns of whose table as a mapping without values, is this.

    content: None where the first record could not be read, and `start`, the file's first bytes, must do.
    """
    if content is None:
        return f"COCO JSON, which {NO_ANSWERS}" if COCO.match(start) else None
    if not isinstance(content, Mapping) or "type" in content or any(key.endswith(".responses") for key in content):
        return None
    keys = set(content)
    for some, name in (*(() if ANSWERED & keys else WITHOUT_ANSWERS), *RECORDS):
        if some <= keys:
            return name
    if keys & {"detail", "error", "errors"} and keys <= ERROR_KEYS:
        return "an error message of a server, and no export; see what it says, and export again"
    return None
