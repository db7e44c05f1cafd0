"""The trials in MLflow: a run for each, below the run of the study."""

from __future__ import annotations

from pathlib import Path

from pipelines.registry.client import Registry, flatten
from pipelines.registry.versions import PARENT_RUN, STUDY, TRIAL
from pipelines.scoring import readings
from pipelines.settings.schema import Params
from pipelines.tuning.study import DONE, PRUNED, TrialRecord

STATE, REASON, NAME = "genloop.state", "genloop.reason", "mlflow.runName"


class StudyRecords:
    def __init__(self, params: Params, registry: Registry, study: str) -> None:
        """The study's run, which is made where there is none.

        Raises:
            GenloopError: MLflow does not answer.
        """
        self.params, self.registry, self.study = params, registry, study
        self.client = registry.client
        self.metric = readings.unbiased_key(params.tune.metric)
        with registry.lock(), registry.mlflow_errors():
            self.experiment = registry.experiment()
            self.run = self.find(STUDY, study) or self.begin(study)
            self.client.update_run(self.run, "RUNNING")  # until `close`; a study that had ended may go on

    def find(self, tag: str, value: str) -> str | None:
        found = self.client.search_runs([self.experiment], f"tags.`{tag}` = '{value}'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def begin(self, study: str) -> str:
        run = str(self.client.create_run(self.experiment, tags={STUDY: study, NAME: study}).info.run_id)
        for name, value in flatten(self.params.tune.model_dump(mode="json", exclude={"trials"})).items():
            self.client.log_param(run, name, value)
        return run

    def start(self, number: int, values: dict[str, object]) -> None:
        with self.registry.mlflow_errors():
            tags = {PARENT_RUN: self.run, TRIAL: f"{self.study}/{number}", NAME: f"trial {number}"}
            run = self.client.create_run(self.experiment, tags=tags).info.run_id
            for name, value in values.items():
                self.client.log_param(run, name, value)

    def end(self, trial: TrialRecord) -> None:
        """The end of a trial. A torn one may have been started by another process, or have no run yet."""
        with self.registry.mlflow_errors():
            run = self.find(TRIAL, f"{self.study}/{trial.number}")
            if run is None:
                return
            metric = self.metric
            for step, score in sorted(trial.intermediate.items()):
                self.client.log_metric(run, f"{metric}_half_way", score, step=step)
            if trial.value is not None:
                self.client.log_metric(run, metric, trial.value, step=self.params.tune.steps)
            if trial.seconds is not None:
                self.client.log_metric(run, "seconds", trial.seconds)
            self.client.set_tag(run, STATE, trial.state)
            if trial.reason:
                self.client.set_tag(run, REASON, trial.reason)
            self.client.set_terminated(run, "FINISHED" if trial.state in (DONE, PRUNED) else "FAILED")

    def close(self, best: TrialRecord, trials: int, files: list[Path]) -> None:
        with self.registry.mlflow_errors():
            if best.value is not None:
                self.client.log_metric(self.run, self.metric, best.value)
            self.client.log_metric(self.run, "trials", trials)
            self.client.set_tag(self.run, "genloop.best", str(best.number))
            for path in files:
                self.client.log_artifact(self.run, str(path))
            self.client.set_terminated(self.run, "FINISHED")
