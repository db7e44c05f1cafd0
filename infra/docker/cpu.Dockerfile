# Genloop on CPUs. One image is every part: its command says which (studio, worker, MLflow's or Prefect's server, setup).
#
#     docker build --file infra/docker/cpu.Dockerfile --tag genloop:0.1.0 .
FROM python:3.12.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /opt/genloop
COPY pyproject.toml requirements.lock ./
COPY infra/docker/requirements.py infra/docker/
# What the lock has besides, for tests and developers, stays out: the lock says which versions and hashes, pyproject.toml what.
RUN python infra/docker/requirements.py postgres s3 kubernetes > /tmp/requirements.txt \
    && pip install --no-cache-dir --require-hashes --constraint requirements.lock --requirement /tmp/requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && python -m compileall -q /opt/genloop


FROM python:3.12.13-slim-trixie
# git keeps the versions of a project; tini ends what a stage leaves behind, and passes on the signal to stop.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git tini \
    && rm -rf /var/lib/apt/lists/* \
    # The volume with the project may be another user's, and git would refuse to work in it.
    && git config --system --add safe.directory /project \
    && useradd --uid 10001 --user-group --create-home genloop \
    && install --directory --owner genloop --group genloop /project
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/genloop /opt/genloop
# The project's own code runs, with the environment of the image; where /project is no project yet, it is the image's code.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/project \
    PYTHONUNBUFFERED=1 \
    DVC_NO_ANALYTICS=1
WORKDIR /project
USER 10001:10001
EXPOSE 8400
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-IS", "/opt/genloop/infra/docker/health.py", "http://127.0.0.1:8400/healthz"]
ENTRYPOINT ["tini", "--"]
CMD ["genloop", "studio", "--host", "0.0.0.0"]
