"""A model without Keras as a version of a registry. Its images are flat; their grey tells seed and label."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from pipelines.models import base
from pipelines.registry import publish
from pipelines.registry.client import Registry

CLASSES = ["cat", "dog", "7"]
CODE = """
import json
from pathlib import Path
from types import SimpleNamespace
import numpy as np

def open_generator(folder):
    about = json.loads((Path(folder) / "model.json").read_text())
    return Flat(about["classes"], about.get("preset", {}).get("prompts", False))

class Flat:
    walks, deterministic, failures = True, True, ()

    def __init__(self, classes, prompts):
        self.accepts_prompts = prompts
        self.classes, self.conditional = classes, bool(classes)
        self.spec = SimpleNamespace(shape=(4, 4, 1), classes=len(classes))

    def draw(self, seeds, labels):
        labels = 9 if labels is None else np.asarray(labels)
        grey = (np.asarray(seeds) % 10 + 10 * labels).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(grey[:, None, None, None], (len(grey), 4, 4, 1)))

    def draw_prompts(self, seeds, prompts):
        return self.draw(seeds, [len(prompt) for prompt in prompts])

    def interpolate(self, a, b, steps, label):
        return self.draw(np.linspace(a, b, steps).astype(int), np.full(steps, label or 0))

    def variations(self, seed, strength, count, label):
        return self.draw(np.full(count, seed), np.full(count, label or 0))

    def close(self):
        pass
"""


def write(folder: Path, classes: list[str], prompts: bool = False) -> None:
    """What `publish.log_model` gives MLflow as the model: model.json and the code."""
    (folder / "code").mkdir(parents=True)
    spec = {"size": 4, "channels": 1, "classes": len(classes)}
    about = {"family": "flat", "module": "flat", "class_name": "Flat", "preset": {"prompts": prompts}, "format": base.FORMAT}
    (folder / "model.json").write_text(json.dumps({**about, "classes": classes, "spec": spec}))
    (folder / "code/__init__.py").touch()
    (folder / "code/generator.py").write_text(CODE)


def save(folder: Path, classes: list[str] = CLASSES, prompts: bool = False) -> str:
    """A folder that MLflow loads, made as `publish` makes a version. prompts: whether it accepts some."""
    import mlflow

    write(folder / "given", classes, prompts)
    mlflow.pyfunc.save_model(folder / "saved", **as_published(folder / "given", prompts))
    return str(folder / "saved")


def register(registry: Registry, classes: list[str] = CLASSES) -> int:
    """A version with files, and a run with an artifact; returns its number."""
    import mlflow

    with registry.lock():
        experiment = registry.experiment()
    with registry.fluent(), tempfile.TemporaryDirectory() as folder, mlflow.start_run(experiment_id=experiment) as run:
        write(Path(folder) / "given", classes)
        mlflow.log_dict({"batches": ["x"]}, "feedback.json")
        made = mlflow.pyfunc.log_model(name="model", **as_published(Path(folder) / "given"))
        if not registry.client.search_registered_models(f"name = '{registry.name}'"):
            registry.client.create_registered_model(registry.name)
        version = registry.client.create_model_version(registry.name, made.model_uri, run.info.run_id, model_id=made.model_id)
    return int(version.version)


def as_published(given: Path, prompts: bool = False) -> dict[str, object]:
    return {
        "python_model": str(Path(publish.__file__).with_name("pyfunc.py")),
        "artifacts": {"model": str(given)},
        "signature": publish.signature((4, 4, 1), prompts),
        "pip_requirements": ["mlflow"],
    }


def greys(images: object) -> list[int]:
    """Of images, their greys: 10 times the label, or the length of the prompt, and the last digit of the seed."""
    array = np.asarray(images)
    assert array.ndim == 4, array.shape
    assert (array == array[:, :1, :1]).all()
    return [int(grey) for grey in array[:, 0, 0, 0]]
