"""The copy of a project that a simulation works in."""

from __future__ import annotations

from pathlib import Path

from operations import simulate
from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest
from pipelines.settings.load import load_params, update_params
from tests.test_loop import git


def test_the_copy_has_no_feedback_and_finds_relative_sources(kept: Project, tmp_path: Path) -> None:
    kept.manifest.write_text('{"files": {}, "forgotten": ["0123"]}\n')
    params = update_params(kept.params_file, settings=["sources=[{type: npz, path: beside/images.npz}]"])
    copy = simulate.copy_project(kept, params, tmp_path / "simulation/project", excluded=tmp_path / "simulation")
    assert manifest.read(copy.manifest) == manifest.Manifest()
    assert load_params(copy.params_file).sources[0].path == str(kept.root / "beside/images.npz")  # type: ignore[attr-defined]
    assert load_params(kept.params_file).sources[0].path == "beside/images.npz"  # type: ignore[attr-defined]
    assert git(copy.root, "status", "--porcelain") == ""
    assert git(copy.root, "rev-list", "--count", "HEAD").strip() == "1"
