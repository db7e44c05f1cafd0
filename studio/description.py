"""The API's description of itself, OpenAPI 3.1: so exact that a program can make every right request from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from pipelines.feedback.events import PROMPT, Choice, Erase, Label, Report, Sample, Upload, Vote
from studio import api
from studio.bodies import MOST_EVENTS

REFERENCE = "#/components/schemas/{model}"
NO_BOTH = {"required": ["label", "prompt"], "properties": {name: {"not": {"type": "null"}} for name in ("label", "prompt")}}
OWN = {"id", "rater", "at"}  # that a sender may leave out
TOKEN = {"type": "string", "description": "Of the sample, as it came with it."}


def describe(app: FastAPI, classes: Sequence[str] | None, longest: int = 0) -> dict[str, Any]:
    """classes: of the version that is shown; None where no version is, [] where it has none. longest: characters of a prompt; 0
    where none is taken."""
    found = get_openapi(title=app.title, version=app.version, routes=app.routes, description=api.__doc__)
    components = found.setdefault("components", {})
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "A key of GENLOOP_API_KEYS."},
        "visitor": {"type": "apiKey", "in": "cookie", "name": "genloop_visitor", "description": "Of the page."},
    }
    schemas = components.setdefault("schemas", {})
    for model in (*api.BODIES, Sample):
        schema = schema_of(model)
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
        if classes is not None and "label" in schema["properties"] and model is not Sample:
            schema["properties"]["label"] = {"enum": [None, *classes, *range(len(classes))]}
    generate = schemas["GenerateBody"]
    if longest:
        generate["properties"]["prompt"] = {**prompt_schema(), "maxLength": longest}
        generate["not"] = NO_BOTH
        body = found["paths"]["/api/v1/generate"]["post"]["requestBody"]["content"]["application/json"]
        body["examples"] = {
            "of classes": {"value": body.pop("example")},
            "by a prompt": {"value": {"count": 4, "guided": True, "visitor": "alice", "prompt": "a fox in the snow"}},
        }
    else:
        del generate["properties"]["prompt"], schemas["Sample"]["properties"]["prompt"]
    events = event_schemas()
    schemas["Event"] = {"oneOf": events}
    several = {"type": "array", "maxItems": MOST_EVENTS, "description": "Of events; each is stored or rejected by itself."}
    body = found["paths"]["/api/v1/events"]["post"]["requestBody"]["content"]["application/json"]
    body["schema"] = {"oneOf": [*events, several]}
    return found


def prompt_schema() -> dict[str, Any]:
    found: dict[str, Any] = PROMPT.json_schema()
    return found


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(ref_template=REFERENCE)


def event_schemas() -> list[dict[str, Any]]:
    """What each type of event looks like when it is sent: with tokens, and without what the studio knows itself."""
    found: list[dict[str, Any]] = []
    shown = {**schema_of(Sample), "title": "ShownSample"}
    shown["properties"] = {**shown["properties"], "token": TOKEN}
    shown["required"] = [*shown["required"], "token"]
    shown["not"] = NO_BOTH
    for model in (Vote, Choice, Upload, Label, Report, Report, Erase):
        schema = schema_of(model)
        schema.pop("$defs", None)
        properties = dict(schema["properties"])
        required = [name for name in schema["required"] if name not in OWN]
        properties["at"] = {"type": "string", "description": "Counts between when the sample was shown and now."}
        if model is Upload:
            properties["image"] = {"type": "string", "format": "base64-image", "description": "A PNG, JPEG or WebP."}
        if model is Choice:
            properties |= {"winner": shown, "loser": shown}
        if model is Vote:
            properties["token"] = TOKEN
            required.append("token")
        if model is Report:
            of_row = any(one["title"] == "Report of a sample" for one in found)
            properties.pop("sample" if of_row else "row")
            about = properties.pop("row" if of_row else "sample")
            name = "row" if of_row else "sample"
            properties[name] = next(one for one in about["anyOf"] if one != {"type": "null"})
            required += [name] if of_row else [name, "token"]
            properties |= {} if of_row else {"token": TOKEN}
            schema["title"] = f"Report of a {name}"
        found.append({**schema, "properties": properties, "required": required, "additionalProperties": False})
    return found
