# Build stage: installs the pinned dependencies by their hashes, and the wheel of the engine.
FROM python:3.11.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv --without-pip /opt/engine
COPY deploy/requirements.txt deploy/requirements-build.txt deploy/
RUN pip install --require-hashes --only-binary :all: -r deploy/requirements-build.txt \
    && pip --python /opt/engine/bin/python install --require-hashes --only-binary :all: \
    -r deploy/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY lua lua
COPY api api
COPY persistence persistence
COPY embedded embedded
COPY cli cli
COPY bench bench
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/engine/bin/python install --no-deps --no-index /wheels/*.whl

# Runtime stage: Python and the engine, which the user cannot write. No compiler, no wheel, no source.
FROM python:3.11.13-slim-bookworm
RUN groupadd --gid 10001 engine \
    && useradd --uid 10001 --gid engine --no-log-init --no-create-home --shell /usr/sbin/nologin engine
COPY --from=build /opt/engine /opt/engine
ENV PATH=/opt/engine/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000 9100
# Health check of the API. The other parts are checked by their metrics: see docker-compose.yml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
# Without a shell, SIGTERM reaches the engine directly; it is process 1 and drains.
ENTRYPOINT ["engine"]
CMD ["serve", "--host", "0.0.0.0"]
