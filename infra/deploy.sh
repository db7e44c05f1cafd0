#!/bin/sh
# When Prefect's server is there: the work pool, the flows with their schedules as the project's prefect.yaml has them, and what the
# server does by itself for runs that died. It can be run again at any time; a pool that is there stays as it is.
set -eu
prefect work-pool inspect genloop > /dev/null 2>&1 || prefect --no-prompt work-pool create genloop --type process
prefect --no-prompt deploy --all
python -m flows.automations
