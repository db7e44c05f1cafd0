"""A preset of KerasHub: a folder with the settings and weights of a backbone, on this machine, on Kaggle or on Hugging Face."""

from __future__ import annotations

import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import say

CONFIG, CONVERTER, WEIGHTS = "config.json", "image_converter.json", "model.weights.h5"
HANDLE = re.compile(r"(kaggle|hf)://([\w-][\w.-]*)(/[\w-][\w.-]*)+", re.ASCII)
MOST_SETTINGS = 2**20  # bytes of a file of settings


@dataclass(frozen=True)
class Preset:
    """What a folder says of a backbone, and where its weights are.

    backbone, converter: the class and its arguments, {"class_name": …, "config": {…}}, as they stand in the files; converter,
    which says how images are resized and scaled, is None where the folder has none.
    """

    backbone: dict[str, Any]
    converter: dict[str, Any] | None
    weights: Path


def read(folder: Path, place: str) -> Preset:
    """The preset in a folder; `place` is what the user called it. Nothing in it is run, and no class of it is looked up.

    Raises:
        InputError: it holds none, or may not be read.
    """
    if not folder.is_dir():
        raise InputError(f"{place}: no such folder; expected one with {CONFIG} and {WEIGHTS}, as KerasHub saves a backbone")
    names = {path.name for path in permitted(lambda: list(folder.iterdir()), place)}
    for name in (CONFIG, WEIGHTS):
        if name not in names:
            other = ""
            if "model.safetensors" in names or "model.safetensors.index.json" in names:
                other = " (these are weights of the library transformers)"
            if "model.weights.json" in names:
                other = " (its weights are in parts: save it again with `max_shard_size=None`)"
            raise InputError(f"{place}: no {name} in it{other}; expected a preset, as `save_to_preset` of KerasHub writes it")
    converter = settings(folder / CONVERTER, place) if CONVERTER in names else None
    return Preset(settings(folder / CONFIG, place), converter, folder / WEIGHTS)


def settings(path: Path, place: str) -> dict[str, Any]:
    """The class and the arguments in a file of settings; its other entries, such as the module of the class, are left out."""
    content = permitted(lambda: path.read_bytes() if path.stat().st_size <= MOST_SETTINGS else b"", place)
    try:
        found = json.loads(content)
        name, config = found["class_name"], found["config"]
    except (ValueError, KeyError, TypeError, RecursionError):
        name = config = None
    if not isinstance(name, str) or not isinstance(config, dict):
        raise InputError(
            f"{place}: {path.name} names no class of KerasHub with its arguments; expected a preset, as `save_to_preset` of "
            "KerasHub writes it"
        )
    return {"class_name": name, "config": config}


def sha256(preset: Preset, place: str) -> str:
    """Checksum of the weights, as `sha256sum model.weights.h5` prints it."""
    return str(permitted(lambda: files.sha256(preset.weights), place))


def check(preset: Preset, place: str, expected: str | None) -> str:
    """The checksum of the weights, if it is the expected one.

    Raises:
        InputError: it is another, or none is expected; both say which checksum to pin.
    """
    found = sha256(preset, place)
    if expected is None:
        raise InputError(
            f"{place}: these weights are not pinned; set reference.sha256 (of `genloop score`: --sha256) to {found} if you "
            "know that they are the ones that you want"
        )
    if found != expected:
        raise InputError(
            f"{place}: {WEIGHTS} has the sha256 {found}, expected {expected}; it is another file or a damaged one: fetch it "
            "again, or set reference.sha256 to what came if you know that it is the one that you want"
        )
    return found


def fetch(handle: str, place: str, expected: str | None, downloads: Path) -> Path:
    """The folder in `downloads` with the preset that a handle names; it is fetched unless those weights are there already.

    handle: kaggle://OWNER/MODEL/keras/VARIANT[/VERSION] or hf://OWNER/MODEL. place: what the user called it.

    Raises:
        InputError: it cannot be fetched.
    """
    if not HANDLE.fullmatch(handle):
        raise InputError(f"{place}: expected a handle such as kaggle://keras/dinov2/keras/dinov2_small/1 or hf://OWNER/MODEL")
    folder = downloads / handle.replace("://", "/")
    kept = folder / WEIGHTS
    if kept.is_file() and expected in (None, permitted(lambda: files.sha256(kept), str(folder))):
        return folder
    try:
        with files.replacement(folder) as partial:
            for name in (CONFIG, CONVERTER, WEIGHTS):
                say(f"fetch: {name} of {handle}")
                client = fetch_from_kaggle if handle.startswith("kaggle://") else fetch_from_hugging_face
                found = client(handle.partition("://")[2], name, partial / "client")
                if found is not None:
                    shutil.move(found, partial / name)
            shutil.rmtree(partial / "client", ignore_errors=True)
    except (GenloopError, MemoryError):
        raise
    except PermissionError as error:
        raise InputError(f"{place}: no permission to keep it ({error}); XDG_CACHE_HOME names another folder") from None
    except Exception as error:  # each client has errors of its own
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{place}: cannot be fetched ({type(error).__name__}: {reason}); where there is no network, put {CONFIG}, "
            f"{CONVERTER} and {WEIGHTS} of {handle} into {folder} by hand, or set reference.weights to a folder that holds them"
        ) from None
    return folder


def fetch_from_kaggle(handle: str, name: str, folder: Path) -> str | None:
    """Path of a file of a model; None where the model has no such file."""
    import kagglehub

    logging.getLogger("kagglehub").setLevel(logging.ERROR)  # its lines go to stdout
    try:
        return str(kagglehub.model_download(handle, name, output_dir=str(folder)))
    except Exception as error:
        if getattr(getattr(error, "response", None), "status_code", None) == 404 and name == CONVERTER:
            return None
        raise


def fetch_from_hugging_face(handle: str, name: str, folder: Path) -> str | None:
    import huggingface_hub
    from huggingface_hub.errors import RemoteEntryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a line each time it tries again
    try:
        return str(huggingface_hub.hf_hub_download(handle, name, local_dir=folder))
    except RemoteEntryNotFoundError:
        if name == CONVERTER:
            return None
        raise


def permitted(action: Any, place: str) -> Any:
    """What `action` returns, a file or folder that cannot be read being an InputError."""
    try:
        return action()
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error})") from None
