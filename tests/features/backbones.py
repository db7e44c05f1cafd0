"""Small backbones of KerasHub with random weights, saved as presets."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

SIDE = 28  # pixels of their images


def dinov2(folder: Path) -> Path:
    """A vision transformer with a class token. Its preset has no converter."""
    import keras_hub

    made = keras_hub.models.DINOV2Backbone(
        patch_size=7,
        num_layers=2,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=32,
        image_shape=(SIDE, SIDE, 3),
        position_embedding_shape=(2 * SIDE, 2 * SIDE),
    )
    made.save_to_preset(str(folder))
    return folder


def densenet(folder: Path) -> Path:
    """A convolutional network, which takes images of any size and gives a map. Its converter says 32 pixels."""
    import keras_hub

    made = keras_hub.models.DenseNetBackbone(stackwise_num_repeats=[1, 1], growth_rate=4, compression_ratio=0.5)
    made.save_to_preset(str(folder))
    keras_hub.layers.DenseNetImageConverter(image_size=(32, 32), scale=1 / 127.5, offset=-1).save_to_preset(str(folder))
    return folder


def bert(folder: Path) -> Path:
    """A backbone that reads texts."""
    import keras_hub

    made = keras_hub.models.BertBackbone(
        vocabulary_size=20, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4, max_sequence_length=8
    )
    made.save_to_preset(str(folder))
    return folder


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "model.weights.h5").read_bytes()).hexdigest()


def change(folder: Path, **arguments: Any) -> None:
    """Set arguments in the settings of a preset."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["config"].update(arguments)
    path.write_text(json.dumps(config))
