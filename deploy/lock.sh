#!/bin/sh
# Pins what the image is built from, with the hash of each file, and what developers and CI install:
# `make lock`, after pyproject.toml changed.
set -eu
cd "$(dirname "$0")/.."
pin() {
  "${UV:-.venv/bin/uv}" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --custom-compile-command "make lock" --output-file "$@"
}
pin deploy/requirements.txt pyproject.toml --extra otel
pin deploy/requirements-build.txt deploy/requirements-build.in
"${UV:-.venv/bin/uv}" pip compile --quiet --universal --python-version 3.11 --no-annotate --extra dev \
  --custom-compile-command "make lock" --output-file deploy/requirements-dev.txt pyproject.toml
