"""What `schemathesis` must know to make an upload: the API's format `base64-image`, as strings that are one."""

from __future__ import annotations

import base64
import io

import schemathesis
from hypothesis import strategies
from PIL import Image


def encoded(colour: tuple[int, int, int]) -> str:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


level = strategies.integers(0, 255)
schemathesis.openapi.format("base64-image", strategies.tuples(level, level, level).map(encoded))
