"""Prefect flows and their schedules: they decide when stages run. Only this package imports Prefect."""
