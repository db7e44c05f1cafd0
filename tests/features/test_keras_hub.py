"""The extractor `keras_hub`: what it computes, where its backbone comes from, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.features import presets
from pipelines.features.base import ExtractorSettings
from pipelines.features.keras_hub import KerasHub
from tests.conftest import REPOSITORY
from tests.contracts import pictures
from tests.features import backbones

NONE = np.zeros(0, np.int32)
MADE = {"dinov2": backbones.dinov2, "densenet": backbones.densenet, "bert": backbones.bert}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder with a backbone, made once."""
    backend.load()
    folder = tmp_path_factory.mktemp("presets")
    return lambda name: folder / name if (folder / name).is_dir() else MADE[name](folder / name)


@pytest.fixture
def copied(saved: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of it that a test may change."""
    return lambda name: Path(shutil.copytree(saved(name), tmp_path / "copy"))


def fit(folder: Path | str, sha256: str | None = None, downloads: Path | None = None) -> KerasHub:
    if sha256 is None and isinstance(folder, Path):
        sha256 = backbones.sha256(folder)
    return KerasHub.fit(pictures(1, 8, 1), NONE, 0, ExtractorSettings(0, 0, str(folder), sha256, downloads))


def resized(images: np.ndarray, size: int, interpolation: str, antialias: bool) -> np.ndarray:
    import keras

    colour = np.repeat(images, 3 // images.shape[-1], axis=-1).astype(np.float32)
    return np.asarray(keras.ops.image.resize(colour, (size, size), interpolation, antialias=antialias))


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (40, 3)])
def test_the_vector_of_a_transformer_is_its_class_token(saved: Callable[[str], Path], size: int, channels: int) -> None:
    import keras_hub

    images = pictures(40, size, channels)
    made = fit(saved("dinov2"))
    seen = made.extract(images)
    backbone = keras_hub.models.Backbone.from_preset(str(saved("dinov2")))
    scaled = resized(images, backbones.SIDE, "bicubic", antialias=True) / 255
    scaled = (scaled - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    expected = np.asarray(backbone(scaled.astype(np.float32)))[:, 0]
    assert seen.vectors.dtype == np.float32
    assert seen.probabilities is None
    assert seen.vectors == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert np.std(seen.vectors, axis=0).min() > 0.01  # it tells images apart
    assert "DINOV2Backbone" in made.description
    assert "class token" in made.description


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (40, 3)])
def test_the_vector_of_a_map_is_its_mean_of_images_as_the_preset_converts_them(
    saved: Callable[[str], Path], size: int, channels: int
) -> None:
    import keras_hub

    images = pictures(40, size, channels)
    seen = fit(saved("densenet")).extract(images)
    backbone = keras_hub.models.Backbone.from_preset(str(saved("densenet")))
    scaled = resized(images, 32, "bilinear", antialias=False) / 127.5 - 1
    expected = np.asarray(backbone(scaled.astype(np.float32))).mean(axis=(1, 2))
    assert seen.vectors == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_grey_image_is_seen_as_the_same_image_in_colour(saved: Callable[[str], Path]) -> None:
    grey, made = pictures(5, 8, 1), fit(saved("dinov2"))
    assert np.array_equal(made.extract(grey).vectors, made.extract(np.repeat(grey, 3, axis=-1)).vectors)


def test_a_backbone_for_large_images_is_run_with_224_pixels(copied: Callable[[str], Path]) -> None:
    folder = copied("dinov2")
    backbones.change(folder, image_shape=[518, 518, 3])
    made = fit(folder)
    assert made.convert.image_size == (224, 224)
    assert made.extract(pictures(1, 8, 1)).vectors.shape == (1, 16)


def test_what_is_saved_needs_nothing_else_and_says_nothing_of_its_place(saved: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved("densenet"), tmp_path / "first"))
    other = Path(shutil.copytree(folder, tmp_path / "second"))
    made = fit(folder)
    (tmp_path / "a").mkdir()
    made.save(tmp_path / "a")
    (tmp_path / "b").mkdir()
    fit(other).save(tmp_path / "b")
    contents = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab"]
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"extractor.json", "extractor.weights.h5"}
    images = pictures(10, 8, 3)
    expected = made.extract(images).vectors
    shutil.rmtree(folder)
    again = KerasHub.load(tmp_path / "a")
    assert np.array_equal(again.extract(images).vectors, expected)
    assert again.description == made.description


def test_other_arguments_with_the_same_weights_are_another_extractor(copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied("densenet")
    one = fit(folder)
    path = folder / "image_converter.json"
    settings = json.loads(path.read_text())
    settings["config"]["offset"] = 0
    path.write_text(json.dumps(settings))
    other = fit(folder)
    for made, name in ((one, "a"), (other, "b")):
        (tmp_path / name).mkdir()
        made.save(tmp_path / name)
    assert (tmp_path / "a/extractor.json").read_bytes() != (tmp_path / "b/extractor.json").read_bytes()


@pytest.mark.slow
def test_both_backends_see_the_same(saved: Callable[[str], Path], tmp_path: Path) -> None:
    """In another process with JAX, because a process has one backend."""
    images = pictures(40, 8, 1)
    names = ("dinov2", "densenet")
    np.save(tmp_path / "images.npy", images)
    program = (
        "import sys, numpy as np\n"
        "from pipelines.core import backend\n"
        "backend.load()\n"
        "from pipelines.features.base import ExtractorSettings\n"
        "from pipelines.features.keras_hub import KerasHub\n"
        "for name, folder, sha256 in zip(*[iter(sys.argv[2:])] * 3):\n"
        "    made = KerasHub.fit(None, None, 0, ExtractorSettings(0, 0, folder, sha256))\n"
        "    np.save(f'{sys.argv[1]}/{name}.npy', made.extract(np.load(f'{sys.argv[1]}/images.npy')).vectors)\n"
    )
    asked = [str(part) for name in names for part in (name, saved(name), backbones.sha256(saved(name)))]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path), *asked], cwd=REPOSITORY, env=environment, check=True)
    for name in names:
        expected = fit(saved(name)).extract(images).vectors
        assert np.load(tmp_path / f"{name}.npy") == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_weights_that_are_not_pinned_are_refused_with_what_to_pin(saved: Callable[[str], Path]) -> None:
    folder = saved("dinov2")
    found = hashlib.sha256((folder / "model.weights.h5").read_bytes()).hexdigest()
    with pytest.raises(InputError, match=rf"not pinned; set reference\.sha256 .* to {found} if you know"):
        KerasHub.fit(pictures(1, 8, 1), NONE, 0, ExtractorSettings(0, 0, str(folder)))


def test_other_weights_than_those_pinned_are_refused(saved: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match=rf"has the sha256 {backbones.sha256(saved('dinov2'))}, expected {'0' * 64}"):
        fit(saved("dinov2"), "0" * 64)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder; expected one with config\.json"):
        fit(str(tmp_path / "nowhere"), "0" * 64)


@pytest.mark.parametrize(
    ("name", "also", "words"),
    [
        ("config.json", None, "no config.json in it; expected a preset"),
        ("model.weights.h5", None, "no model.weights.h5 in it; expected a preset"),
        ("model.weights.h5", "model.safetensors", "weights of the library transformers"),
        ("model.weights.h5", "model.weights.json", "its weights are in parts: save it again"),
    ],
)
def test_a_folder_without_a_preset_is_refused(copied: Callable[[str], Path], name: str, also: str | None, words: str) -> None:
    folder = copied("dinov2")
    (folder / name).unlink()
    if also:
        (folder / also).write_text("{}")
    with pytest.raises(InputError, match=words):
        fit(str(folder), "0" * 64)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"class_name": 3, "config": {}}', b"[" * 100_000, b"{}"])
def test_settings_that_are_none_are_refused(copied: Callable[[str], Path], content: bytes) -> None:
    folder = copied("dinov2")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.json names no class of KerasHub"):
        fit(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="everything may be read by root")
def test_a_folder_that_may_not_be_read_is_said(copied: Callable[[str], Path]) -> None:
    folder = copied("dinov2")
    (folder / "model.weights.h5").chmod(0)
    with pytest.raises(InputError, match=r"cannot be read .*Permission"):
        fit(str(folder), "0" * 64)


def test_a_text_s_backbone_is_refused(saved: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match=r"'BertBackbone' is no image backbone of KerasHub; expected a preset of .*DINOV2Back"):
        fit(saved("bert"))


@pytest.mark.parametrize(
    "name", ["CLIPBackbone", "PaliGemmaBackbone", "Backbone", "ViTDetBackbone", "Functional", "Lambda", "os"]
)
def test_a_class_that_is_no_image_backbone_is_refused(copied: Callable[[str], Path], name: str) -> None:
    folder = copied("dinov2")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "class_name": name}))
    with pytest.raises(InputError, match=f"{name!r} is no image backbone"):
        fit(folder)


LAMBDA = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"name": "harm", "function": {"class_name": "__lambda__", "config": {"code": "4wAAAAA="}}},
    "registered_name": None,
}


@pytest.mark.parametrize("value", [LAMBDA, [LAMBDA], {"inside": LAMBDA}, {"module": "os", "class_name": "system"}])
@pytest.mark.parametrize("name", ["config.json", "image_converter.json"])
def test_no_object_is_made_of_what_a_file_says(copied: Callable[[str], Path], name: str, value: Any) -> None:
    folder = copied("densenet")
    settings = json.loads((folder / name).read_text())
    settings["config"]["extra"] = value
    (folder / name).write_text(json.dumps(settings))
    with pytest.raises(InputError, match=f"{name}: 'extra' is an object, '(Lambda|system)'; expected numbers"):
        fit(folder)


def test_the_module_that_a_file_names_is_not_imported(copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copied("dinov2")
    harm = folder.parent / "harm"
    harm.mkdir()
    (harm / "harmful_module.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(harm)
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"module": "harmful_module", "registered_name": "harmful_module>DINOV2Backbone"}
    settings["config"]["dtype"] = {"module": "harmful_module", "class_name": "Policy", "config": {}}
    (folder / "config.json").write_text(json.dumps(settings))
    assert fit(folder).extract(pictures(1, 8, 1)).vectors.shape == (1, 16)


@pytest.mark.parametrize("arguments", [{"num_layers": "two"}, {"image_shape": [28, 14, 3]}, {"image_shape": 3}])
def test_arguments_that_do_not_fit_are_said(copied: Callable[[str], Path], arguments: dict[str, Any]) -> None:
    folder = copied("dinov2")
    backbones.change(folder, **arguments)
    with pytest.raises(InputError, match=r"no DINOV2Backbone can be made of config\.json"):
        fit(folder)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_damaged_weights_are_refused(copied: Callable[[str], Path], share: float) -> None:
    path = copied("dinov2") / "model.weights.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"model\.weights\.h5 holds no weights for this DINOV2Backbone"):
        fit(path.parent)


def test_weights_of_another_backbone_are_refused(copied: Callable[[str], Path], saved: Callable[[str], Path]) -> None:
    folder = copied("dinov2")
    shutil.copy(saved("densenet") / "model.weights.h5", folder)
    with pytest.raises(InputError, match=r"model\.weights\.h5 holds no weights for this DINOV2Backbone"):
        fit(folder)


def test_weights_that_lack_a_part_are_refused(copied: Callable[[str], Path]) -> None:
    """Keras would leave that part as it was drawn, and say so in a warning at most."""
    import h5py

    folder = copied("dinov2")
    with h5py.File(folder / "model.weights.h5", "a") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        file[found[0]][...] = np.nan
    with pytest.raises(InputError, match=r"holds no weights for this DINOV2Backbone .*no finite numbers for"):
        fit(folder)


def test_saved_weights_that_were_changed_are_refused(saved: Callable[[str], Path], tmp_path: Path) -> None:
    fit(saved("dinov2")).save(tmp_path)
    with (tmp_path / "extractor.weights.h5").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match=r"extractor\.weights\.h5: not the file that was written there; run `reference` again"):
        KerasHub.load(tmp_path)


def test_weights_that_change_before_they_are_kept_are_refused(copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied("dinov2")
    made = fit(folder)
    with (folder / "model.weights.h5").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match="changed while it was in use"):
        made.save(tmp_path)


def test_without_keras_hub_it_is_said_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(InputError, match=r"needs KerasHub.*`make env` installs it, else `pip install 'genloop\[pretrained\]'`"):
        fit(str(tmp_path), "0" * 64)


class Server:
    """Stands for Kaggle and Hugging Face: files of a folder, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, []  # type: Path, list[tuple[str, str]]

    def client(self, handle: str, name: str, folder: Path) -> str | None:
        self.asked.append((handle, name))
        if not (self.folder / name).is_file():
            return None
        folder.mkdir(exist_ok=True)
        return str(shutil.copy(self.folder / name, folder))


@pytest.fixture
def server(saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(saved("dinov2"))
    for client in ("fetch_from_kaggle", "fetch_from_hugging_face"):
        monkeypatch.setattr(presets, client, made.client)
    return made


@pytest.mark.parametrize(
    ("place", "handle"),
    [
        ("dinov2_small", "keras/dinov2/keras/dinov2_small/1"),
        ("kaggle://keras/dinov2/keras/dinov2_small/1", "keras/dinov2/keras/dinov2_small/1"),
        ("hf://keras/some_dinov2", "keras/some_dinov2"),
    ],
)
def test_a_preset_is_fetched_once_and_kept(server: Server, tmp_path: Path, place: str, handle: str) -> None:
    sha256 = backbones.sha256(server.folder)
    with pytest.raises(InputError, match=f"{place}: these weights are not pinned; set .* to {sha256}"):
        fit(place, None, tmp_path)
    assert server.asked == [(handle, name) for name in ("config.json", "image_converter.json", "model.weights.h5")]
    assert fit(place, sha256, tmp_path).extract(pictures(1, 8, 1)).vectors.shape == (1, 16)
    assert len(server.asked) == 3
    (kept,) = tmp_path.rglob("model.weights.h5")
    assert {path.name for path in kept.parent.iterdir()} == {"config.json", "model.weights.h5"}
    kept.write_bytes(b"damaged")
    fit(place, sha256, tmp_path)
    assert len(server.asked) == 6


@pytest.mark.parametrize("place", ["kaggle://../../etc", "hf://keras", "hf://a/../b", "s3://bucket/preset", "kaggle:///a/b"])
def test_a_handle_that_is_none_is_refused(server: Server, tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="expected a handle such as"):
        fit(place, "0" * 64, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dinov2_smal", "'dinov2_smal' is no preset of KerasHub; did you mean 'dinov2_small'?"),
        ("bert_base_en", "'bert_base_en' is no image backbone"),
        ("my_folder", "a folder, written with a slash as in ./my_folder"),
    ],
)
def test_a_name_that_is_no_preset_of_images_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        fit(name, "0" * 64, tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize("client", ["kagglehub", "huggingface_hub"])
def test_without_a_network_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str) -> None:
    import huggingface_hub
    import kagglehub

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route\nand many more lines")

    monkeypatch.setattr(kagglehub, "model_download", fail)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    place = "dinov2_small" if client == "kagglehub" else "hf://keras/dinov2"
    with pytest.raises(InputError) as caught:
        fit(place, "0" * 64, tmp_path)
    words = str(caught.value)
    assert f"{place}: cannot be fetched (ConnectionError: no route); where there is no network, put config.json" in words
    assert str(tmp_path) in words
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("client", ["kagglehub", "huggingface_hub"])
def test_only_the_converter_may_be_missing_at_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str) -> None:
    import huggingface_hub
    import kagglehub
    import requests
    from huggingface_hub.errors import RemoteEntryNotFoundError

    response = requests.Response()
    response.status_code = 404
    missing = RemoteEntryNotFoundError.__new__(RemoteEntryNotFoundError)
    errors = {"kagglehub": requests.HTTPError("404", response=response), "huggingface_hub": missing}

    def fail(*_: Any, **__: Any) -> None:
        raise errors[client]

    monkeypatch.setattr(kagglehub, "model_download", fail)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    fetch = presets.fetch_from_kaggle if client == "kagglehub" else presets.fetch_from_hugging_face
    assert fetch("a/b", "image_converter.json", tmp_path) is None
    with pytest.raises(type(errors[client])):
        fetch("a/b", "config.json", tmp_path)
