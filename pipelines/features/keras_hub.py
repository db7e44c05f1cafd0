"""keras_hub: an image backbone of KerasHub with pretrained weights, for photographs.

DINOv2 is what comparisons with people's judgement recommend ("Exposing flaws of generative model evaluation metrics", Stein et
al., 2023, 2306.04675), with images of 224 pixels and the class token as the feature vector, which is what is done here.

Keras can deserialise whatever class and module a file names, and its `safe_mode` was bypassed more than once. So nothing here
is deserialised: the name of the class is looked up among KerasHub's image backbones, its arguments may be plain values alone,
and weights are read from HDF5.
"""

from __future__ import annotations

import difflib
import json
import shutil
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.lazy import keras, np
from pipelines.features import presets
from pipelines.features.base import Extractor, ExtractorSettings, Features, run_in_batches
from pipelines.features.presets import Preset

SIDE = 224  # pixels that images are resized to where the backbone takes any number
ANY_SIDE = ("DINOV2Backbone", "DINOV3Backbone")  # take any, whatever the preset was saved for: mostly 518, six times the work
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels, 0..1: where a preset has no converter
CLASS_TOKENS = ("cls_token", "class_token")  # names that backbones give the weights of the token that stands for the image
IGNORED = ("name", "dtype", "trainable", "data_format")  # arguments that are decided here
BATCH = 32


class KerasHub(Extractor):
    from_file = True
    of_presets = True
    of_classes = False

    def __init__(self, preset: Preset, sha256: str, place: str) -> None:
        """sha256: of the weights, checked. place: where the preset came from, for messages."""
        self.preset, self.sha256 = preset, sha256
        backbone = build(library(), preset, place)
        load_weights(backbone, preset.weights, place)
        self.convert = converter(library(), preset, backbone, place)
        self.network, self.how = pooled(backbone, place)

    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, settings: ExtractorSettings) -> Self:
        place = settings.weights
        assert place is not None, "the settings are checked before"
        folder = find(library(), place, settings.sha256, settings.downloads)
        preset = presets.read(folder, place)
        backbone_class(library(), preset.backbone, place)  # before a checksum of what is of no use
        return cls(preset, presets.check(preset, place, settings.sha256), place)

    @property
    def description(self) -> str:
        return f"{self.preset.backbone['class_name']} of KerasHub, weights {self.sha256[:16]}…, {self.how}"

    def extract(self, images: np.ndarray) -> Features:
        def run(batch: np.ndarray) -> list[np.ndarray]:
            colour = np.broadcast_to(batch, (*batch.shape[:3], 3)).astype(np.float32)
            return [np.asarray(self.network.predict_on_batch(keras.ops.convert_to_numpy(self.convert(colour))), np.float32)]

        (vectors,) = run_in_batches(images, BATCH, run)
        return Features(vectors, None)

    def save(self, folder: Path) -> None:
        # Nothing of where it came from: the same preset makes the same benchmark.
        about = {
            "how": self.description,
            "of_classes": self.of_classes,
            "sha256": self.sha256,
            "backbone": self.preset.backbone,
            "converter": self.preset.converter,
        }
        copy = folder / "extractor.weights.h5"
        try:
            shutil.copyfile(self.preset.weights, copy)
        except OSError as error:
            raise InputError(f"{self.preset.weights}: cannot be copied to {folder} ({error})") from None
        if files.sha256(copy) != self.sha256:
            raise InputError(
                f"{self.preset.weights}: changed while it was in use; run `reference` again when nothing changes it"
            )
        files.write(folder / "extractor.json", json.dumps(about, indent=2, ensure_ascii=False, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        with files.content_errors(folder, "feature extractor", "`reference` makes it (`genloop run`)"):
            about = json.loads((folder / "extractor.json").read_text(encoding="utf-8"))
            sha256, backbone, converter = about["sha256"], about["backbone"], about["converter"]
            weights = folder / "extractor.weights.h5"
            found = files.sha256(weights)
        if found != sha256:
            raise InputError(f"{weights}: not the file that was written there; run `reference` again")
        return cls(Preset(backbone, converter, weights), sha256, str(folder))


def library() -> ModuleType:
    try:
        import keras_hub
    except ImportError as error:
        raise InputError(
            f"the extractor `keras_hub` needs KerasHub, which cannot be imported ({error}); `make env` installs it, else "
            "`pip install 'genloop[pretrained]'`; or choose another reference.extractor"
        ) from None
    return keras_hub


def find(hub: ModuleType, place: str, sha256: str | None, downloads: Path | None) -> Path:
    """The folder of the preset that `place` names: a handle with ://, the name of a preset, or a path, which has a slash."""
    if "://" in place and not place.startswith(("file://", "local://")):
        handle = place
    elif "/" in place:
        return Path(place.rpartition("://")[2]).expanduser()
    else:
        handle = named(hub, place)
    assert downloads is not None, "there is a folder for downloads wherever a preset can be named"
    return presets.fetch(handle, place, sha256, downloads)


def named(hub: ModuleType, name: str) -> str:
    """The handle of a preset of KerasHub, which must be of an image backbone."""
    handles = {
        preset: about["kaggle_handle"] for kind in image_backbones(hub).values() for preset, about in kind.presets.items()
    }
    if name in handles:
        return str(handles[name])
    near = difflib.get_close_matches(name, handles, n=1)
    came = "is no image backbone" if name in hub.models.Backbone.presets else "is no preset of KerasHub"
    raise InputError(
        f"{name!r} {came}{f'; did you mean {near[0]!r}?' if near else '.'} Expected the name of a preset, as 'dinov2_small', "
        f"a handle as kaggle://… or hf://…, or a folder, written with a slash as in ./{name}"
    )


def image_backbones(hub: ModuleType) -> dict[str, Any]:
    """Name -> class of the backbones for which KerasHub converts images, and which have no tokens of a text."""
    seen = {reader.backbone_cls for reader in named_classes(hub.layers, hub.layers.ImageConverter)}
    read = {reader.backbone_cls for reader in named_classes(hub.tokenizers, hub.tokenizers.Tokenizer)}
    return {kind.__name__: kind for kind in named_classes(hub.models, hub.models.Backbone) if kind in seen - read}


def named_classes(module: ModuleType, base: Any) -> list[Any]:
    """The classes that a module of KerasHub exports which derive from `base`."""
    return [member for member in vars(module).values() if isinstance(member, type) and issubclass(member, base)]


def backbone_class(hub: ModuleType, settings: dict[str, Any], place: str) -> Any:
    """The class that the settings of a preset name; raises InputError where it is none of KerasHub's image backbones."""
    known, name = image_backbones(hub), settings["class_name"]
    if name in known:
        return known[name]
    raise InputError(f"{place}: {name!r} is no image backbone of KerasHub; expected a preset of {', '.join(sorted(known))}")


def build(hub: ModuleType, preset: Preset, place: str) -> Any:
    """The backbone without its weights."""
    kind, name = backbone_class(hub, preset.backbone, place), preset.backbone["class_name"]
    arguments = plain(preset.backbone["config"], f"{place}: {presets.CONFIG}")
    try:
        if name in ANY_SIDE and arguments.get("image_shape"):
            arguments["image_shape"] = (*(min(SIDE, side) for side in arguments["image_shape"][:2]), 3)
        backbone = kind(**arguments, dtype="float32")
    except Exception as error:  # each class and Keras' layers have errors of their own
        raise InputError(
            f"{place}: no {name} can be made of {presets.CONFIG} ({first_line(error)}); fetch the preset again"
        ) from None
    shapes = [tuple(tensor.shape) for tensor in backbone.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] not in (3, None):
        raise InputError(f"{place}: {name} takes inputs of the shapes {shapes}; expected images alone, of three channels")
    return backbone


def plain(config: dict[str, Any], place: str) -> dict[str, Any]:
    """Arguments as they were before Keras wrote them to a file, without those that are decided here.

    Raises:
        InputError: one is an object of some class, which nothing here makes.
    """

    def value(found: Any, key: str) -> Any:
        if isinstance(found, list):
            return [value(one, key) for one in found]
        if isinstance(found, dict):
            if found.get("class_name") == "__tuple__" and isinstance(found.get("items"), list):
                return tuple(value(one, key) for one in found["items"])
            if {"class_name", "module", "registered_name"} & set(found):
                raise InputError(
                    f"{place}: {key!r} is an object, {found.get('class_name')!r}; expected numbers, strings and lists of them: "
                    "no object is made of what a file says. Choose another preset"
                )
            return {name: value(one, key) for name, one in found.items()}
        return found

    return {key: value(found, key) for key, found in config.items() if key not in IGNORED}


def load_weights(backbone: Any, weights: Path, place: str) -> None:
    """Raises InputError where the file is damaged, or leaves any weight as it was: Keras only warns of most that it skips."""
    for variable in backbone.weights:
        variable.assign(keras.ops.full(variable.shape, np.nan, variable.dtype))
    try:
        with warnings.catch_warnings(action="ignore"):
            backbone.load_weights(str(weights))
        missing = [one.path for one in backbone.weights if not np.isfinite(keras.ops.convert_to_numpy(one)).all()]
        if missing:
            raise ValueError(f"no finite numbers for {missing[0]} and {len(missing) - 1} others of {len(backbone.weights)}")
    except Exception as error:  # h5py and Keras have many
        raise InputError(
            f"{place}: {weights.name} holds no weights for this {type(backbone).__name__} ({first_line(error)}); fetch the "
            "preset again, and pin the sha256 of what came"
        ) from None


def converter(hub: ModuleType, preset: Preset, backbone: Any, place: str) -> Any:
    """(n, size, size, 3) float32, 0..255 -> (n, height, width, 3) float32 as the backbone was trained with.

    Without a converter in the preset: resized to what the backbone takes, else to `SIDE` pixels, and scaled by the mean and the
    spread of ImageNet, which most backbones were trained with.
    """
    kinds = named_classes(hub.layers, hub.layers.ImageConverter)
    kind = next(kind for kind in kinds if kind.backbone_cls is type(backbone))
    if preset.converter is None:
        arguments: dict[str, Any] = {
            "scale": [1 / 255 / spread for spread in SPREAD],
            "offset": [-mean / spread for mean, spread in zip(MEAN, SPREAD, strict=True)],
            "interpolation": "bicubic",
            "antialias": True,
        }
    else:
        arguments = plain(preset.converter["config"], f"{place}: {presets.CONVERTER}")
    try:
        convert = kind(**arguments, dtype="float32")
    except Exception as error:
        raise InputError(
            f"{place}: no {kind.__name__} can be made of {presets.CONVERTER} ({first_line(error)}); fetch the preset again"
        ) from None
    height, width = backbone.inputs[0].shape[1:3]
    own = convert.image_size or (SIDE, SIDE)
    convert.image_size = (height or own[0], width or own[1])
    return convert


def pooled(backbone: Any, place: str) -> tuple[Any, str]:
    """Converted images -> (n, d), one vector an image, and how it is taken from the output of the backbone."""
    output = backbone.output
    rank = len(output.shape) if hasattr(output, "shape") else 0
    if rank == 3 and any(variable.name in CLASS_TOKENS for variable in backbone.weights):
        vector, how = output[:, 0], "the class token"
    elif rank in (3, 4):
        vector, how = keras.ops.mean(output, axis=tuple(range(1, rank - 1))), "the mean over all places"
    elif rank == 2:
        vector, how = output, "its output"
    else:
        raise InputError(
            f"{place}: {type(backbone).__name__} has several outputs, or none that is a map; choose another preset"
        )
    return keras.Model(backbone.inputs, vector), how


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
