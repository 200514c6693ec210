FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY engine engine
COPY lua lua
COPY api api
COPY persistence persistence
COPY bench bench
RUN python -m venv /opt/engine && /opt/engine/bin/pip install --no-cache-dir .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 engine
COPY --from=build /opt/engine /opt/engine
ENV PATH=/opt/engine/bin:$PATH PYTHONUNBUFFERED=1
USER engine
EXPOSE 8000
ENTRYPOINT ["engine"]
CMD ["serve", "--host", "0.0.0.0"]
