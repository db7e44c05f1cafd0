"""Expectations that the data must meet, checked by Great Expectations on a table of row facts."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core.facts import FACT, Facts
from pipelines.settings.schema import Expectations

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.expectations import Expectation
    from great_expectations.expectations.metadata_types import FailureSeverity

ROUNDING = 1e-9  # that shares are allowed when they are compared


@dataclass(frozen=True)
class CheckedExpectation:
    """One expectation with its result."""

    hard: bool
    passed: bool
    expected: str
    observed: str


def table(facts: Facts, classes: list[str], conflicts: np.ndarray) -> pd.DataFrame:
    """The facts of each row, whether it copies an earlier one, whether another label has a copy of it, and the share of the
    rarest class, of an even share.
    """
    import pandas as pd  # not at the top, because the worker processes of `validate` do not need it

    labels = facts["label"]
    _, first = np.unique(facts["id"], return_index=True)
    copies = np.ones(len(facts), np.int8)
    copies[first] = 0
    counts = np.bincount(labels[labels >= 0], minlength=max(len(classes), 1)) if len(labels) else np.zeros(1, int)
    shares = counts * len(classes) / max(counts.sum(), 1)
    modes, names = np.unique(facts["mode"], return_inverse=True)
    return pd.DataFrame(
        {
            **{name: facts[name] for name in ("width", "height", "label", "brightness", "contrast", "sharpness")},
            "mode": pd.Categorical.from_codes(names, [mode.decode() for mode in modes]),
            "labelled": (labels >= 0).astype(np.int8),
            "copy": copies,
            "label_conflict": conflicts.astype(np.int64),
            # The rarest class stands for all of them, also one without any row.
            "rarest_class": np.full(len(facts), shares.min() if classes else 1.0, np.float32),
        }
    )


def check(
    facts: Facts, classes: list[str], conflicts: np.ndarray, hard: Expectations, soft: Expectations
) -> tuple[list[CheckedExpectation], dict[str, Any]]:
    """The expectations with their results, and the validation result of Great Expectations as plain JSON.

    conflicts: (n,) bool, rows of which there is a copy with another label. It is no fault of data to have no labels at all:
    then only hard expectations ask for some.
    """
    if not (facts["label"] >= 0).any():
        soft = soft.model_copy(update={"min_labelled_share": None, "min_class_share": None})
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
        from great_expectations.expectations.metadata_types import FailureSeverity

        frame = table(facts, classes, conflicts)
        suite = gx.ExpectationSuite(
            name="rows",
            expectations=[
                *basic_expectations(frame, classes),
                *configured_expectations(hard, FailureSeverity.CRITICAL),
                *configured_expectations(soft, FailureSeverity.WARNING),
            ],
        )
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
        asset = context.data_sources.add_pandas("data").add_dataframe_asset("rows")
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        result = batch.validate(suite, result_format="SUMMARY").to_json_dict()
    return [interpret(entry) for entry in result["results"]], result


def basic_expectations(frame: pd.DataFrame, classes: list[str]) -> list[Expectation]:
    """The expectations that params cannot change. Those on values pass an empty table and NaN, so both have their own."""
    import great_expectations.expectations as gxe
    from great_expectations.expectations.metadata_types import FailureSeverity

    hard = FailureSeverity.CRITICAL
    expectations: list[Expectation] = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1, severity=hard),
        gxe.ExpectTableColumnsToMatchSet(column_set=list(frame.columns), exact_match=True, severity=hard),
        gxe.ExpectColumnValuesToBeBetween(column="label", min_value=-1, max_value=max(len(classes) - 1, -1), severity=hard),
    ]
    for name in ("width", "height", "label", "brightness", "contrast", "sharpness"):
        expectations += [
            gxe.ExpectColumnValuesToNotBeNull(column=name, severity=hard),
            gxe.ExpectColumnValuesToBeOfType(column=name, type_=FACT[name].name, severity=hard),
        ]
    for name in ("brightness", "contrast", "sharpness"):
        expectations.append(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=0, max_value=2048, severity=hard))
    if classes:
        unique = gxe.ExpectColumnSumToBeBetween(column="label_conflict", max_value=0, severity=FailureSeverity.WARNING)
        expectations.append(unique)
    return expectations


def configured_expectations(limits: Expectations, severity: FailureSeverity) -> list[Expectation]:
    """The expectations that params.yaml asks for."""
    import great_expectations.expectations as gxe

    expectations: list[Expectation] = []
    if limits.rows:
        least, most = limits.rows
        expectations.append(gxe.ExpectTableRowCountToBeBetween(min_value=least, max_value=most, severity=severity))
    mostly: dict[str, Any] = {"mostly": limits.mostly, "severity": severity}
    for name in ("width", "height", "brightness", "contrast", "sharpness"):
        if bounds := limits.side if name in ("width", "height") else getattr(limits, name):
            low, high = bounds
            expectations.append(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high, **mostly))
    if limits.modes:
        expectations.append(gxe.ExpectColumnValuesToBeInSet(column="mode", value_set=limits.modes, **mostly))
    if limits.min_labelled_share is not None:
        low = limits.min_labelled_share - ROUNDING
        expectations.append(gxe.ExpectColumnMeanToBeBetween(column="labelled", min_value=low, severity=severity))
    if limits.max_duplicate_share is not None:
        high = limits.max_duplicate_share + ROUNDING
        expectations.append(gxe.ExpectColumnMeanToBeBetween(column="copy", max_value=high, severity=severity))
    if limits.min_class_share is not None:
        low = limits.min_class_share - ROUNDING
        expectations.append(gxe.ExpectColumnMinToBeBetween(column="rarest_class", min_value=low, severity=severity))
    return expectations


DESCRIPTIONS = {
    "expect_table_row_count_to_be_between": "number of rows",
    "expect_table_columns_to_match_set": "columns are exactly those of the table of facts",
    "expect_column_values_to_not_be_null": "no value missing or NaN",
    "expect_column_values_to_be_of_type": "values are of type",
    "expect_column_values_to_be_between": "values",
    "expect_column_values_to_be_in_set": "values are among",
    "expect_column_mean_to_be_between": "share of rows",
    "expect_column_sum_to_be_between": "rows of pictures that have several labels",
    "expect_column_min_to_be_between": "share of the rarest class, of an even share",
}


def interpret(entry: dict[str, Any]) -> CheckedExpectation:
    config, result = entry["expectation_config"], entry["result"]
    kwargs, kind = config["kwargs"], config["type"]
    column = f"{kwargs['column']}: " if "column" in kwargs else ""
    bounds = [
        f"{word} {kwargs[key]:g}"
        for key, word in (("min_value", "at least"), ("max_value", "at most"))
        if kwargs.get(key) is not None
    ]
    if "value_set" in kwargs:
        bounds.append(", ".join(kwargs["value_set"]))
    if "type_" in kwargs:
        bounds.append(kwargs["type_"])
    if kwargs.get("mostly", 1) < 1:
        bounds.append(f"for {kwargs['mostly']:.1%} of the rows")
    if entry["exception_info"].get("raised_exception"):
        observed = str(entry["exception_info"].get("exception_message"))
    elif "unexpected_count" in result:
        observed = f"{result['unexpected_count']:,} of {result['element_count']:,} rows do not"
        if result.get("partial_unexpected_list"):
            observed += f" (such as {', '.join(map(str, result['partial_unexpected_list'][:3]))})"
    else:
        observed = as_text(result.get("observed_value"))
    return CheckedExpectation(
        hard=config.get("severity") == "critical",
        passed=bool(entry["success"]),
        expected=f"{column}{DESCRIPTIONS[kind]} {' and '.join(bounds)}".strip(),
        observed=observed,
    )


def as_text(value: Any) -> str:
    match value:
        case list():
            return ", ".join(map(str, value))
        case bool() | None | str():
            return str(value)
        case int():
            return f"{value:,}"
        case _:
            return f"{value:,.4g}"
