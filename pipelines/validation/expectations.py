"""What the data must look like, as Great Expectations over a table of row facts."""

from __future__ import annotations

import logging
import os
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

SHARE = 1e-9  # shares are compared with this much room for rounding


@dataclass(frozen=True)
class Finding:
    """One expectation and what came of it."""

    hard: bool
    passed: bool
    expected: str
    observed: str


def table(facts: Facts, classes: list[str]) -> pd.DataFrame:
    """One row a row of data: its facts, whether it copies an earlier row, and its class's share of an even share."""
    import pandas as pd  # here: the worker processes of `validate` have no use for it

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
            # The rarest class stands for all of them, also one without any row.
            "rarest_class": np.full(len(facts), shares.min() if classes else 1.0, np.float32),
        }
    )


def check(facts: Facts, classes: list[str], hard: Expectations, soft: Expectations) -> tuple[list[Finding], dict[str, Any]]:
    """Findings, and the validation result of Great Expectations as plain JSON."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
        from great_expectations.expectations.metadata_types import FailureSeverity

        frame = table(facts, classes)
        suite = gx.ExpectationSuite(
            name="rows",
            expectations=[
                *sound(frame, classes),
                *wanted(hard, FailureSeverity.CRITICAL),
                *wanted(soft, FailureSeverity.WARNING),
            ],
        )
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
        asset = context.data_sources.add_pandas("data").add_dataframe_asset("rows")
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        result = batch.validate(suite, result_format="SUMMARY").to_json_dict()
    return [finding(entry) for entry in result["results"]], result


def sound(frame: pd.DataFrame, classes: list[str]) -> list[Expectation]:
    """What must hold whatever the settings say. Expectations on values pass an empty table and NaN, so both are asked for."""
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
    return expectations


def wanted(limits: Expectations, severity: FailureSeverity) -> list[Expectation]:
    """The expectations that params.yaml asks for."""
    import great_expectations.expectations as gxe

    expectations: list[Expectation] = []
    if limits.rows:
        expectations.append(
            gxe.ExpectTableRowCountToBeBetween(min_value=limits.rows[0], max_value=limits.rows[1], severity=severity)
        )
    for names, bounds in (
        (("width", "height"), limits.side),
        (("brightness",), limits.brightness),
        (("contrast",), limits.contrast),
        (("sharpness",), limits.sharpness),
    ):
        if bounds:
            expectations += [
                gxe.ExpectColumnValuesToBeBetween(
                    column=name, min_value=bounds[0], max_value=bounds[1], mostly=limits.mostly, severity=severity
                )
                for name in names
            ]
    if limits.modes:
        expectations.append(
            gxe.ExpectColumnValuesToBeInSet(column="mode", value_set=limits.modes, mostly=limits.mostly, severity=severity)
        )
    if limits.min_labelled_share is not None:
        least = limits.min_labelled_share - SHARE
        expectations.append(gxe.ExpectColumnMeanToBeBetween(column="labelled", min_value=least, severity=severity))
    if limits.max_duplicate_share is not None:
        most = limits.max_duplicate_share + SHARE
        expectations.append(gxe.ExpectColumnMeanToBeBetween(column="copy", max_value=most, severity=severity))
    if limits.min_class_share is not None:
        least = limits.min_class_share - SHARE
        expectations.append(gxe.ExpectColumnMinToBeBetween(column="rarest_class", min_value=least, severity=severity))
    return expectations


WORDS = {
    "expect_table_row_count_to_be_between": "number of rows",
    "expect_table_columns_to_match_set": "columns are exactly those of the table of facts",
    "expect_column_values_to_not_be_null": "no value missing or NaN",
    "expect_column_values_to_be_of_type": "values are of type",
    "expect_column_values_to_be_between": "values",
    "expect_column_values_to_be_in_set": "values are among",
    "expect_column_mean_to_be_between": "share of rows",
    "expect_column_min_to_be_between": "share of the rarest class, of an even share",
}


def finding(entry: dict[str, Any]) -> Finding:
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
        observed = words(result.get("observed_value"))
    return Finding(
        hard=config.get("severity") == "critical",
        passed=bool(entry["success"]),
        expected=f"{column}{WORDS[kind]} {' and '.join(bounds)}".strip(),
        observed=observed,
    )


def words(value: Any) -> str:
    match value:
        case list():
            return ", ".join(map(str, value))
        case bool() | None | str():
            return str(value)
        case int():
            return f"{value:,}"
        case _:
            return f"{value:,.4g}"
