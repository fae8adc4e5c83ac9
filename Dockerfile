# Two images from one file: `api` answers HTTP and has no torch, `worker` reads tables and trains. docs/containers.md tells how to use them.

# The Python that the test suite runs on.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build-api
# Compiled here, since the user who runs it may not write beside it.
ENV VIRTUAL_ENV=/opt/counterweight UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
RUN pip install --no-cache-dir uv && uv venv --python "$(command -v python)" "$VIRTUAL_ENV"
WORKDIR /src
COPY . .
RUN uv pip install --constraint constraints.txt ".[api,postgres]"

FROM build-api AS build-worker
# Which build of torch, by the name uv gives it: `cpu`, or one for a CUDA version such as `cu130`. Empty: the one on PyPI, made for CUDA.
ARG TORCH_BACKEND=cpu
RUN uv pip install ${TORCH_BACKEND:+--torch-backend=$TORCH_BACKEND} --constraint constraints.txt ".[server,postgres]"

FROM python:${PYTHON}-slim AS base
# Both folders exist in the image and belong to the user: a new volume mounted over one takes over its owner.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/counterweight --shell /usr/sbin/nologin counterweight \
    && install --directory --owner=counterweight --group=counterweight --mode=0750 /var/lib/counterweight /srv/counterweight
ENV PATH=/opt/counterweight/bin:$PATH PYTHONUNBUFFERED=1 COUNTERWEIGHT_HOME=/var/lib/counterweight
WORKDIR /var/lib/counterweight
USER counterweight
ENTRYPOINT ["counterweight"]

FROM base AS worker
COPY --from=build-worker /opt/counterweight /opt/counterweight
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["python", "-P", "-m", "workers.health"]
CMD ["worker"]

# Last, and so what `docker build .` makes.
FROM base AS api
COPY --from=build-api /opt/counterweight /opt/counterweight
ENV COUNTERWEIGHT_BIND=0.0.0.0:8321
EXPOSE 8321
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-P", "-m", "service.health"]
CMD ["serve", "--workers", "0"]
