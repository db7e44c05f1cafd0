"""The model registry: everything that calls MLflow is here."""
