#!/bin/sh
# Before the services start: makes the project in the working directory and the buckets, where there are none yet, and brings all
# databases up to date. It can be run again at any time. PROJECT_REPOSITORY: where the project comes from, for `git clone`; without
# it, it is made of the code that this file is part of.
set -eu
code=$(cd "$(dirname "$0")/.." && pwd)

make_project() {
  # dvc.yaml comes last, so a project that is half there is not taken for one.
  rm -rf .setup
  if [ -n "${PROJECT_REPOSITORY:-}" ]; then
    git clone --quiet "$PROJECT_REPOSITORY" .setup
  else
    mkdir .setup
    (cd "$code" && tar --create --exclude=./.git --exclude=./.venv --exclude=__pycache__ --exclude='*.egg-info' \
      --exclude=./data --exclude=./mlruns --exclude='./mlflow.db*' --exclude=./checkpoints --exclude=./logs .) |
      tar --extract --directory .setup
    mkdir .setup/data
    echo '{"files": {}, "forgotten": []}' > .setup/data/feedback.json
    git -C .setup init --quiet --initial-branch main
    git -C .setup add --all
    git -C .setup -c user.name=Genloop -c user.email=genloop@localhost commit --quiet --message "The project as it was set up"
  fi
  find .setup -mindepth 1 -maxdepth 1 ! -name dvc.yaml -exec mv --target-directory . {} +
  mv .setup/dvc.yaml .
  rmdir .setup
  echo "setup: made the project"
}

[ -f dvc.yaml ] || make_project
if ! cmp --quiet "$code/requirements.lock" requirements.lock; then
  echo "setup: the project's requirements.lock is another than that of this image; build the image from the project's commit" >&2
fi

python "$code/infra/docker/buckets.py"
python -m pipelines.feedback.store.migrate
if [ -n "${MLFLOW_BACKEND_STORE_URI:-}" ]; then
  # Not as a command with the address in it, which has a password that every user of the machine would see.
  python -c 'import os; from click.testing import CliRunner; from mlflow.db import commands
done = CliRunner().invoke(commands, ["upgrade", os.environ["MLFLOW_BACKEND_STORE_URI"]])
raise SystemExit(done.exit_code and (str(done.exception) or done.output))'
  echo "setup: MLflow's database is up to date"
fi
if [ -n "${PREFECT_SERVER_DATABASE_CONNECTION_URL:-}" ]; then
  prefect server database upgrade --yes
  echo "setup: Prefect's database is up to date"
fi
