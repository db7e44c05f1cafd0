"""The trials in MLflow: a run for each, below one of the study."""

from __future__ import annotations

from pathlib import Path

from pipelines.registry import client
from pipelines.settings.schema import Params
from pipelines.tuning.study import DONE, PRUNED, Tried

STUDY, TRIAL, STATE, REASON = "genloop.study", "genloop.trial", "genloop.state", "genloop.reason"
PARENT, NAME = "mlflow.parentRunId", "mlflow.runName"


class Records:
    def __init__(self, params: Params, study: str) -> None:
        """The study's run, which is made where there is none.

        Raises:
            GenloopError: MLflow does not answer.
        """
        self.params, self.study = params, study
        self.client = client.client()
        with client.locked(), client.asking():
            self.experiment = client.experiment_id(self.client, params.registry.experiment)
            self.run = self.find(STUDY, study) or self.begin(study)

    def find(self, tag: str, value: str) -> str | None:
        found = self.client.search_runs([self.experiment], f"tags.`{tag}` = '{value}'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def begin(self, study: str) -> str:
        run = str(self.client.create_run(self.experiment, tags={STUDY: study, NAME: study}).info.run_id)
        for name, value in client.flat(self.params.tune.model_dump(mode="json", exclude={"trials"})).items():
            self.client.log_param(run, name, value)
        return run

    def start(self, number: int, values: dict[str, object]) -> None:
        with client.asking():
            tags = {PARENT: self.run, TRIAL: f"{self.study}/{number}", NAME: f"trial {number}"}
            run = self.client.create_run(self.experiment, tags=tags).info.run_id
            for name, value in values.items():
                self.client.log_param(run, name, value)

    def end(self, trial: Tried) -> None:
        """What came of a trial; one that was torn off may have been started by another process, or not yet."""
        with client.asking():
            run = self.find(TRIAL, f"{self.study}/{trial.number}")
            if run is None:
                return
            metric = self.params.tune.metric
            for step, score in sorted(trial.looks.items()):
                self.client.log_metric(run, f"{metric}_half_way", score, step=step)
            if trial.value is not None:
                self.client.log_metric(run, metric, trial.value, step=self.params.tune.steps)
            if trial.seconds is not None:
                self.client.log_metric(run, "seconds", trial.seconds)
            self.client.set_tag(run, STATE, trial.state)
            if trial.reason:
                self.client.set_tag(run, REASON, trial.reason)
            self.client.set_terminated(run, "FINISHED" if trial.state in (DONE, PRUNED) else "FAILED")

    def close(self, best: Tried, trials: int, files: list[Path]) -> None:
        with client.asking():
            if best.value is not None:
                self.client.log_metric(self.run, self.params.tune.metric, best.value)
            self.client.log_metric(self.run, "trials", trials)
            self.client.set_tag(self.run, "genloop.best", str(best.number))
            for path in files:
                self.client.log_artifact(self.run, str(path))
            self.client.set_terminated(self.run, "FINISHED")
