"""A model that somebody else's code samples: what it gives, and what is said of whatever can go wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.models import base
from pipelines.models.external import ExternalGenerator
from pipelines.models.generator import open_generator
from pipelines.models.worker import WorkerError
from tests.conftest import REPOSITORY
from tests.support import external_model
from tests.support.external_model import SAMPLER, WALK, expected

Open = Callable[..., ExternalGenerator]
SEEDS, LABELS = np.arange(5), np.array([0, 1, 2, 0, 1], np.int32)


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Open]:
    """Opens the model that `external_model.write` makes of the same arguments."""
    opened: list[ExternalGenerator] = []

    def build(*code: str, **arguments: Any) -> ExternalGenerator:
        generator = open_generator(external_model.write(tmp_path / f"model-{len(opened)}", *code, **arguments))
        assert isinstance(generator, ExternalGenerator)
        opened.append(generator)
        return generator

    yield build
    for generator in opened:
        generator.close()


def draw_with(body: str) -> str:
    """A sampler whose `draw` has this body."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return SAMPLER.replace("def draw(self, seeds, labels):\n", f"def draw(self, seeds, labels):\n{lines}")


def test_an_image_depends_on_its_seed_and_label_alone(model: Open) -> None:
    generator = model(SAMPLER, shift=7)
    seeds, labels = np.arange(150), (np.arange(150) % 3).astype(np.int32)
    images = generator.draw(seeds, labels)
    assert images.dtype == np.uint8
    assert np.array_equal(images, expected(seeds, labels, 7))
    assert np.array_equal(images[::-1], generator.draw(seeds[::-1], labels[::-1]))
    assert np.array_equal(generator.draw(SEEDS), expected(SEEDS, np.arange(5) % 3, 7))  # classes take turns
    assert generator.draw(SEEDS[:0], LABELS[:0]).shape == (0, 8, 8, 1)
    generator.close()
    assert np.array_equal(generator.draw(SEEDS, LABELS), expected(SEEDS, LABELS, 7))


@pytest.mark.parametrize(
    ("seeds", "labels", "message"),
    [
        ([1, 2], [0], "as many labels as seeds"),
        ([-1], [0], "seeds from 0 on"),
        ([1], [3], "labels from 0 to 2, came 3"),
    ],
)
def test_arguments_are_checked_as_those_of_a_family(model: Open, seeds: list[int], labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model().draw(seeds, labels)


def test_a_walk_where_there_is_one(model: Open) -> None:
    with_walk, without = model(SAMPLER + WALK), model()
    assert with_walk.walks
    assert not without.walks
    way = with_walk.interpolate(1, 2, 5, label=1)
    ends = with_walk.draw([1, 2], [1, 1])
    assert np.array_equal(way[[0, -1]], ends)
    assert with_walk.variations(1, 0.0, 3, label=1).tolist() == [ends[0].tolist()] * 3
    with pytest.raises(ValueError, match="its sampler has no `walk`"):
        without.interpolate(1, 2, 5)


VARIATIONS = """
    def variations(self, seeds, others, strength, labels):
        assert len(set(others)) == len(others)
        return self.draw(seeds + np.rint(strength * 10).astype(int), labels)
"""


def test_variations_are_the_samplers_own_where_it_has_some(model: Open) -> None:
    own = model(SAMPLER + VARIATIONS)
    assert not own.walks
    assert np.array_equal(own.variations(1, 0.5, 3, label=1), own.draw([6, 6, 6], [1, 1, 1]))
    for strength, without, message in ((1.5, own, "a strength from 0 to 1"), (0.5, model(), "neither `variations` nor `walk`")):
        with pytest.raises(ValueError, match=message):
            without.variations(1, strength, 3, label=1)


def test_what_a_sampler_calls_its_own_is_its_own(model: Open) -> None:
    """A model of latents has other channels than its images."""
    generator = model(SAMPLER + "    size, channels = (64, 64), 4")
    assert np.array_equal(generator.draw(SEEDS, LABELS), expected(SEEDS, LABELS))


def test_prompts_in_place_of_labels(model: Open) -> None:
    told = draw_with("self.about['classes'].index\nlabels = [self.about['classes'].index(text[-1]) for text in labels]")
    generator = model(told, condition="prompts")
    assert np.array_equal(generator.draw(SEEDS, LABELS), expected(SEEDS, LABELS))


def test_prompts_that_somebody_writes(model: Open) -> None:
    lengths = "labels = [len(text) % 3 for text in labels]"
    generator = model(draw_with(lengths), condition="prompts")
    prompts = ["a fox", "", "狐狸", "a\u200bb", "x" * 500] * 30
    seeds = np.arange(150)
    images = generator.draw_prompts(seeds, prompts)
    assert np.array_equal(images, expected(seeds, np.array([len(one) % 3 for one in prompts])))
    assert np.array_equal(images[5:7], generator.draw_prompts(seeds[5:7], prompts[5:7]))
    with pytest.raises(ValueError, match="expected as many prompts as seeds, came 149 prompts"):
        generator.draw_prompts(seeds, prompts[:-1])
    with pytest.raises(ValueError, match="this model takes no prompts"):
        model(SAMPLER).draw_prompts(SEEDS, prompts[:5])


def test_a_model_without_classes_is_given_none(model: Open) -> None:
    generator = model(draw_with("assert labels is None\nlabels = [0] * len(seeds)"), classes=[], condition="none")
    assert not generator.conditional
    assert np.array_equal(generator.draw(SEEDS, None), expected(SEEDS, np.zeros(5, int)))


def test_what_is_printed_does_no_harm(model: Open) -> None:
    noise = "import sys; sys.stdout.write('x' * 1000000); print('lines\\n' * 1000); os.write(1, b'y' * 100000); os.read(0, 5)"
    generator = model("print('loaded')\n" + draw_with(noise))
    for _ in range(3):
        assert np.array_equal(generator.draw(SEEDS, LABELS), expected(SEEDS, LABELS))
    assert generator._worker is not None
    assert generator._worker.running is not None
    assert len(generator._worker.running.output.content) < 20_000


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such", "could not be loaded: ModuleNotFoundError: No module named 'no_such'.*-m pip install no_such"),
        ("1 / 0", r"could not be loaded: ZeroDivisionError: division by zero \(at sampler.py, line 1: 1 / 0\)"),
        ("class Other: pass", "sampler has no 'Sampler', as the manifest's `sampler: sampler:Sampler` asks for"),
        ("class Sampler:\n    def __init__(self, *_): pass", "made a Sampler without a method `draw`"),
        ("def f(:", "could not be loaded: SyntaxError"),
        (draw_with("raise RuntimeError('out of ideas')"), r"in `draw`: RuntimeError: out of ideas \(at sampler.py, line"),
        (draw_with("raise SystemExit(3)"), "failed in `draw`: SystemExit: 3"),
        (draw_with("print('bye')\nos._exit(3)"), "ended in `draw`, twice: it ended by itself with exit code 3.*bye"),
        (draw_with("return np.zeros((3, 8, 8, 1), np.uint8)"), r"gave uint8 \(3, 8, 8, 1\), expected uint8 \(5, 8, 8, 1\)"),
        (draw_with("return np.zeros((5, 9, 9, 1), np.uint8)"), r"gave uint8 \(5, 9, 9, 1\), expected"),
        (draw_with("return np.zeros((5, 8, 8, 1))"), r"gave float64 \(5, 8, 8, 1\), from 0 to 0, expected uint8.*np.rint"),
        (draw_with("return np.full((5, 8, 8, 1), np.nan)"), "with numbers that are not finite.*mend these first"),
        (draw_with("return 'an image'"), "give an array of uint8, not a str"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(model: Open, code: str, message: str) -> None:
    with pytest.raises(WorkerError, match=f"(?s){message}"):
        model(code).draw(SEEDS, LABELS)


def test_a_wrong_interpreter_is_said(model: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"says `python: .venv/bin/python`, and there is no such.*set GENLOOP_EXT"):
        model(python=".venv/bin/python").draw(SEEDS)
    with pytest.raises(WorkerError, match="ended while it was loaded, twice: it ended by itself with exit code 1"):
        model(python="/bin/false").draw(SEEDS)
    text = tmp_path / "text"
    text.write_text("not a program")
    with pytest.raises(WorkerError, match=r"text does not run .*Python of 3.9 or later"):
        model(python=str(text)).draw(SEEDS)
    monkeypatch.setenv("GENLOOP_EXTERNAL_PYTHON", "/nowhere/python")
    with pytest.raises(WorkerError, match="GENLOOP_EXTERNAL_PYTHON is /nowhere/python, and there is no such file"):
        model().draw(SEEDS)
    monkeypatch.setenv("GENLOOP_EXTERNAL_PYTHON", sys.executable)
    assert len(model(python="/bin/false").draw(SEEDS)) == 5


def test_an_interpreter_beside_the_sampler_s_own_folder_is_found(tmp_path: Path) -> None:
    """Its path is relative to the folder that the model came from, which lies in the project."""
    python = tmp_path / "examples/external/tiny/env/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    folder = external_model.write(tmp_path / "data/model", python="env/python")
    assert ExternalGenerator(folder).interpreter() == str(python)
    elsewhere = external_model.write(tmp_path.with_name("elsewhere"), python="env/python")
    assert ExternalGenerator(elsewhere, root=tmp_path).interpreter() == str(python)


def test_weights_that_are_not_the_trained_ones_are_refused(model: Open) -> None:
    changed, missing, added = model(), model(), model()
    np.save(changed.folder / "weights/shift.npy", np.array(1))
    (missing.folder / "weights/shift.npy").unlink()
    (added.folder / "weights/more.bin").touch()
    for generator, message in ((changed, "has the sha256"), (missing, "missing: shift.npy"), (added, "unknown: more.bin")):
        with pytest.raises(WorkerError, match=message):
            generator.draw(SEEDS)
    late = model()
    late.draw(SEEDS)
    late.close()
    np.save(late.folder / "weights/shift.npy", np.array(1))
    with pytest.raises(WorkerError, match="has the sha256"):
        late.draw(SEEDS)


def test_a_description_is_read_strictly(tmp_path: Path) -> None:
    folder = external_model.write(tmp_path / "model")
    stored = json.loads((folder / "model.json").read_text())
    for changes, message in (({"external": {}}, "holds no manifest"), ({"surprise": 1}, "not a description of a model")):
        (folder / "model.json").write_text(json.dumps({**stored, **changes}))
        with pytest.raises(ValueError, match=message):
            open_generator(folder)
    plain = base.Description("gan", "gan", "Gan", {}, base.ImageSpec(8, 1, 0), [])
    assert "external" not in json.loads(plain.as_text())  # as before there were external models
    (folder / "model.json").write_text(plain.as_text())
    assert base.describe(folder) == plain


def test_it_needs_neither_genloop_nor_keras(tmp_path: Path) -> None:
    folder = external_model.write(tmp_path / "model")
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(REPOSITORY / 'pipelines')!r})\n"
        "from pathlib import Path\n"
        "from models.generator import open_generator\n"
        f"print(open_generator(Path({str(folder)!r})).draw([1, 2], [0, 1]).shape)\n"
        "print([name for name in ('keras', 'tensorflow', 'safetensors', 'pipelines') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["(2, 8, 8, 1)", "[]"]
