# The collector, its flows and a Prefect worker or server: one image, one lock.
# docker build -t binance-collector:latest .

# Pin it by digest where builds must be repeatable: --build-arg PYTHON=python:3.12-slim-bookworm@sha256:…
ARG PYTHON=python:3.12-slim-bookworm

FROM ${PYTHON} AS build
# The same version as in the Makefile.
ARG UV_VERSION=0.13.9
WORKDIR /app
RUN pip install --no-cache-dir --root-user-action ignore "uv==${UV_VERSION}" \
    && python -m venv --without-pip /opt/venv
ENV PATH=/opt/venv/bin:$PATH
# What changes seldom comes first: only another lock installs anew.
COPY requirements.lock ./
RUN uv pip sync --no-cache --compile-bytecode --require-hashes --python /opt/venv/bin/python requirements.lock
COPY pyproject.toml README.md prefect.yaml settings.py ./
COPY depth depth
COPY tasks tasks
COPY flows flows
COPY deploy deploy
# Editable: `python flows/collect.py` and the flows of a worker run from /app.
RUN uv pip install --no-cache --no-deps --no-build-isolation --python /opt/venv/bin/python --editable . \
    && python -m compileall -q depth tasks flows settings.py
# Nothing is copied that has not collected, stored and passed its own health check.
RUN python deploy/smoke.py

FROM ${PYTHON}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends "tini=0.19.*" \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --create-home --home-dir /home/depth --shell /usr/sbin/nologin depth
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
# Spool and database: the one place that is written.
RUN install --directory --owner=depth --group=depth /app/data
VOLUME /app/data
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PREFECT_HOME=/app/data/prefect \
    PREFECT_SERVER_ANALYTICS_ENABLED=false
USER 10001:10001
# Restart policies do not look at it: the collector ends by itself when it captures nothing.
HEALTHCHECK --interval=60s --timeout=20s --start-period=120s --retries=2 \
    CMD ["python", "-m", "depth", "health", "--max-age", "60"]
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "depth", "collect"]
