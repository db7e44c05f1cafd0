# Genloop on NVIDIA GPUs, for whatever trains or generates; the other parts need no GPU and run from cpu.Dockerfile.
#
#     docker build --file infra/docker/gpu.Dockerfile --tag genloop:0.1.0-gpu .
#     docker run --gpus all --volume "$PWD:/project" genloop:0.1.0-gpu genloop run
#
# TensorFlow 2.21 is built for CUDA 12 and cuDNN 9, which the base brings; XLA also needs ptxas and libdevice, which are in the
# package of the compiler alone.
FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04 AS base
ENV DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates cuda-nvcc-12-8 git python3.12 python3.12-venv tini \
    && rm -rf /var/lib/apt/lists/*


FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3.12 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /opt/genloop
COPY pyproject.toml requirements.lock ./
COPY infra/docker/requirements.py infra/docker/
RUN python infra/docker/requirements.py postgres s3 kubernetes > /tmp/requirements.txt \
    && pip install --no-cache-dir --require-hashes --constraint requirements.lock --requirement /tmp/requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && python -m compileall -q /opt/genloop


FROM base
# The volume with the project may be another user's, and git would refuse to work in it.
RUN git config --system --add safe.directory /project \
    && useradd --uid 10001 --user-group --create-home genloop \
    && install --directory --owner genloop --group genloop /project
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/genloop /opt/genloop
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
