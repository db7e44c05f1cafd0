"""manifest.yaml of an external model: what is allowed, each fault in words, and what params make of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.settings import manifest
from pipelines.settings.load import load_params, update_params
from tests.conftest import REPOSITORY

LEAST = "train: python train.py\nsampler: sampler:Sampler\n"


def write(folder: Path, text: str = LEAST) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / manifest.NAME).write_text(text)
    return folder


def test_two_keys_are_enough(tmp_path: Path) -> None:
    found = manifest.read(write(tmp_path))
    assert (found.conditional, found.deterministic, found.data, found.presets) == (True, True, "parquet", {"small": {}})
    assert (found.limits.silence, found.limits.memory_gb) == (600, 8)
    assert 64 in found.sizes
    assert found.augmentations == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a mapping with the keys train and sampler, came an empty file"),
        ("- a", "expected a mapping .*came list"),
        ("sampler: a:B", "train: this key is missing"),
        ("train: ' '\nsampler: a:B", "train: expected a command"),
        ('train: "python \'x"\nsampler: a:B', "train: expected a command as a shell reads it.*No closing quotation"),
        ("train: null\nsampler: sampler.py", "sampler: expected module:object, as in `sampler:Sampler`.*came 'sampler.py'"),
        (f"{LEAST}sizez: 3", "sizez: unknown key .*did you mean `sizes`"),
        (f"{LEAST}sizes: {{least: 8, most: 15, multiple_of: 16}}", "sizes: expected sizes of which there is one"),
        (f"{LEAST}sizes: {{leest: 8}}", "sizes.leest: unknown key .*did you mean `least`"),
        (f"{LEAST}channels: [2]", "channels.0: input should be 1 or 3"),
        (f"{LEAST}channels: []", "channels: .*at least 1 item"),
        (f"{LEAST}condition: words", "condition: input should be 'classes', 'prompts' or 'none'"),
        (f"{LEAST}condition: prompts\nprompt: a photo", r"prompt: expected \{name\} in it"),
        (f"{LEAST}condition: prompts\nprompt: {{3: three}}", "prompt: expected texts as keys and values, came 3: 'three'"),
        (f"{LEAST}prompt: 'a {{name}}'", "prompt: it is for `condition: prompts`, and condition is classes"),
        (f"{LEAST}presets: {{}}", "presets: .*at least 1 item"),
        (f"{LEAST}presets: {{small: {{a: {{b: 1}}}}}}", "presets: small.a: expected a number, a text, true or false"),
        (f"{LEAST}limits: {{silence: 0}}", "limits.silence: input should be greater than 0"),
        (
            f"{LEAST}limits: {{memory_gb: 1{'0' * 400}}}",
            "limits.memory_gb: expected a number .* of at most 1,000,000,000 ",
        ),
        (f"{LEAST}limits: {{memory_gb: 1.0e+300}}", "limits.memory_gb: input should be less than or equal to 1000000000"),
        (f'{LEAST}python: "a\\0b"', "python: expected a path, which has no character of code 0"),
        ('train: "a\\0b"\nsampler: a:B', "train: expected a command, which has no character of code 0"),
        (f'{LEAST}presets: {{small: {{a: ["\\ud83d"]}}}}', r"'\\ud83d' has half of a character"),
        (f"{LEAST}train: x", "duplicate key: `train` stands in line 1 and again in line 3"),
    ],
)
def test_each_fault_is_said_with_the_file_and_the_key(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"manifest.yaml: {words}"):
        manifest.read(write(tmp_path, text))


def test_a_folder_without_a_manifest_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest.yaml in it; `genloop model new DIR` makes a folder with one"):
        manifest.read(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        manifest.read(tmp_path / "none")


def test_the_interpreter_is_genloops_own_or_below_the_folder_or_the_environments(tmp_path: Path) -> None:
    own, named = manifest.read(write(tmp_path)), manifest.read(write(tmp_path, f"{LEAST}python: .venv/bin/python"))
    assert manifest.interpreter(own, tmp_path, {}) == sys.executable
    assert manifest.interpreter(named, tmp_path, {}) == str(tmp_path / ".venv/bin/python")
    assert manifest.interpreter(named, tmp_path, {manifest.PYTHON_VARIABLE: sys.executable}) == sys.executable
    assert manifest.command(own, "/p", ["job.json"]) == ["/p", "train.py", "job.json"]
    with pytest.raises(InputError, match="no such Python"):
        manifest.check_interpreter(manifest.interpreter(named, tmp_path, {}))


def test_a_number_that_no_float_holds_fits_no_preset() -> None:
    assert [manifest.fits_preset(value, 0.1) for value in (3, 10**400, float("nan"), True)] == [True, False, False, False]


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    write(
        tmp_path / "mine",
        LEAST + "sizes: {least: 8, most: 16}\nchannels: [1]\npresets: {own: {width: 4, name: a, fast: true}}\n",
    )
    (tmp_path / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    return tmp_path / "params.yaml"


OWN = ("model.family=external", "model.external=mine", "model.preset=own")


def test_params_take_a_folder_in_the_project(params_file: Path, elsewhere: Path) -> None:
    update_params(params_file, settings=OWN)
    model = load_params(params_file).model
    assert model.folder == params_file.parent / "mine"
    assert model.kind is model.manifest
    assert model.numbers == {"width": 4, "name": "a", "fast": True}
    assert model.trains
    assert not model.kind_is_ours


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["model.external=none"], "model.external: .*none: no such folder"),
        (["model.preset=small"], r"model.preset: 'small' is not known.*\(presets of the external model mine\)"),
        (["model.change={width: 1.5}"], r"model.change.width: expected a whole number, as 4 is \(came 1.5\)"),
        (["model.change={fast: 1}"], "model.change.fast: expected true or false"),
        (["model.change={wide: 1}"], "model.change: 'wide' is not known"),
        (["image.size=32"], "image.size: 32 does not fit model.family 'external', which generates sizes from 8 to 16"),
        (["image.channels=3"], r"image.channels: 3 does not fit the external model mine, whose manifest has channels: \[1\]"),
        (["train.augment.flip=true"], "train.augment: external cannot use it; model.family can be: "),
    ],
)
def test_params_that_do_not_fit_it_are_refused(settings: list[str], words: str, params_file: Path, elsewhere: Path) -> None:
    with pytest.raises(InputError, match=words):
        update_params(params_file, settings=[*OWN, *settings])


def test_the_folder_is_not_looked_at_where_another_family_is_trained(params_file: Path) -> None:
    assert update_params(params_file, settings=["model.external=none"]).model.external == "none"


def test_params_from_before_there_were_external_models_can_be_read(params_file: Path) -> None:
    lines = [line for line in params_file.read_text().splitlines() if "external:" not in line]
    params_file.write_text("\n".join(lines))
    assert load_params(params_file).model.external == "examples/external/numpy"
