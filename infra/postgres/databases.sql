-- Runs once, in an empty volume. POSTGRES_DB, the database of events, is made by the image itself.
CREATE DATABASE mlflow;
CREATE DATABASE prefect;
\connect prefect
CREATE EXTENSION IF NOT EXISTS pg_trgm;
