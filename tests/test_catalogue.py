"""One contract for every table of the catalogue: each member is light, documented, and declares what its base asks for."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from pipelines import catalogue
from pipelines.features.base import Extractor
from pipelines.feedback.imports.base import Format
from pipelines.metrics.base import Score
from pipelines.models.base import Family, Sizes
from pipelines.rules.base import Rule
from pipelines.sources.base import Source
from pipelines.tastes.base import Taste
from tests.conftest import REPOSITORY

TABLES = {name: table for name, table in vars(catalogue).items() if name.isupper() and isinstance(table, dict)}
MEMBERS = [pytest.param(table, name, id=f"{table}-{name}") for table in TABLES for name in TABLES[table]]


def fills(member: type, base: type) -> None:
    """The member is a class with all that the base leaves open."""
    assert issubclass(member, base)
    assert not inspect.isabstract(member)
    open_ones = [name for name, value in vars(base).items() if "raise NotImplementedError" in source_of(value)]
    assert [name for name in open_ones if getattr(member, name) is getattr(base, name)] == []


def source_of(value: Any) -> str:
    function = value.fget if isinstance(value, property) else value
    return inspect.getsource(function) if inspect.isfunction(function) else ""


def check_settings(base: type, key: str) -> Callable[[str, Any], None]:
    """Of what params name with settings of its own: the key holds the member's name, and nothing else."""

    def check(name: str, member: Any) -> None:
        fills(member, base)
        assert get_args(member.model_fields[key].annotation) == (name,)
        assert member.model_config["extra"] == "forbid"
        assert member.model_config["frozen"]

    return check


def check_family(name: str, member: Any) -> None:
    fills(member, Family)
    assert Path(inspect.getfile(member)).stem == name  # dvc.yaml names it as an input of `train`
    assert member.presets
    assert all(isinstance(number, int | float | list) for preset in member.presets.values() for number in preset.values())
    assert len({tuple(preset) for preset in member.presets.values()}) == 1  # the same numbers in every preset
    sizes = member.sizes
    assert isinstance(sizes, Sizes)
    assert [size for size in range(1024) if size in sizes] == list(range(sizes.least, sizes.most + 1, sizes.multiple_of))
    assert set(member.augmentations) <= {"fixed", "adaptive"}


def check_metric(name: str, member: Any) -> None:
    assert list(inspect.signature(member).parameters) == ["comparison"]
    scores = catalogue.yields(name)
    assert scores
    for score in scores:
        check_score(score)
        assert catalogue.scores()[score.name] is score
        assert catalogue.metric_of(score.name) == name
        assert score.rows(features=1, classes=1) > 0
        assert not score.difference_only


def check_vote_score(name: str, member: Any) -> None:
    check_score(member)
    assert member.name == name
    assert name not in catalogue.scores()


def check_score(score: Any) -> None:
    assert isinstance(score, Score)
    assert score.better in ("lower", "higher", "")
    assert not (score.better and score.ideal is not None)
    assert score.meaning[0].isupper() or score.meaning.startswith(tuple(catalogue.METRICS))
    assert score.meaning.endswith(".")


def check_extractor(name: str, member: Any) -> None:
    fills(member, Extractor)
    assert isinstance(member.from_file, bool)
    assert isinstance(member.learns, bool)
    assert member.from_file or not member.of_presets


def check_format(name: str, member: Any) -> None:
    fills(member, Format)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in member.suffixes)
    assert member.suffixes or member.match is not Format.match


CONTRACTS = {
    "SOURCES": check_settings(Source, "type"),
    "RULES": check_settings(Rule, "rule"),
    "MODELS": check_family,
    "METRICS": check_metric,
    "VOTE_SCORES": check_vote_score,
    "FEATURES": check_extractor,
    "TASTES": check_settings(Taste, "name"),
    "IMPORTS": check_format,
}


def test_every_table_has_a_contract() -> None:
    assert set(CONTRACTS) == set(TABLES)


@pytest.mark.parametrize(("table", "name"), MEMBERS)
def test_every_member_keeps_the_contract_of_its_table(table: str, name: str) -> None:
    member = catalogue.get(TABLES[table], name)
    module, _ = catalogue.locate(TABLES[table], name)
    assert sys.modules[module].__doc__
    CONTRACTS[table](name, member)


def test_no_two_metrics_yield_scores_of_one_name() -> None:
    names = [score.name for metric in catalogue.METRICS for score in catalogue.yields(metric)] + list(catalogue.VOTE_SCORES)
    assert len(names) == len(set(names))


def test_members_are_imported_without_anything_heavy() -> None:
    """Params are checked with them, before Keras and numpy are needed."""
    program = (
        "import sys\n"
        "from pipelines import catalogue\n"
        f"for table in {sorted(TABLES)}:\n"
        "    for name in getattr(catalogue, table):\n"
        "        catalogue.get(getattr(catalogue, table), name)\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'numpy', 'scipy', 'sklearn', 'pyarrow', 'PIL', 'pandas', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_documents_say_of_scores_what_metrics_say() -> None:
    """docs/metrics.md: | key | what it tells | metric | range | better | least images | it misses |"""
    text = (REPOSITORY / "docs/metrics.md").read_text(encoding="utf-8")
    lines = [line.strip("|").split("|") for line in text.splitlines() if re.match(r"\| `\w+` \|.*\|$", line)]
    table = {line[0].strip(" `"): [cell.strip() for cell in line[1:]] for line in lines if len(line) == 7}
    assert len(table) >= 13
    for name, (tells, _, _, better, least, _) in table.items():
        score = catalogue.scores()[name]
        counts = ((score.least_rows, ""), (score.rows_per_feature, " a feature"), (score.rows_per_class, " a class"))
        assert (tells, better) == (score.meaning, score.goal), name
        assert least == " + ".join(f"{count}{words}" for count, words in counts if count), name


def test_who_asks_for_the_unbiased_value_learns_that_rules_go_by_it() -> None:
    words = catalogue.unknown_name("fid_unbiased", catalogue.scores())
    assert words.startswith("'fid_unbiased' is what 'fid' stands for here: say 'fid'")
