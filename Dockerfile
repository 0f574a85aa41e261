# syntax=docker/dockerfile:1
# One image for the API and the worker; the command decides. Your own jobs: FROM this image, COPY them to /app/jobs.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/offload
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY service ./service
RUN /opt/offload/bin/pip install --quiet --constraint constraints.txt '.[encryption]' \
    && /opt/offload/bin/python -m compileall -q /opt/offload/lib

FROM python:${PYTHON}-slim
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin offload \
    && install -d -o offload -g offload /artifacts /data
COPY --from=build /opt/offload /opt/offload
COPY jobs /app/jobs
ENV PATH=/opt/offload/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OFFLOAD_HOST=0.0.0.0 \
    OFFLOAD_PORT=8000 \
    OFFLOAD_DATA_DIR=/data \
    OFFLOAD_ARTIFACTS_URL=file:///artifacts \
    OFFLOAD_LOG_FORMAT=json
WORKDIR /app
USER offload
VOLUME ["/artifacts"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# For the API; a worker is asked by `arq jobs.WorkerSettings --check` instead, as compose.yaml does.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["offload", "api"]
