#!/bin/sh
# Pins the dependencies of the image, with the hash of each file: `make lock`, after pyproject.toml changed.
set -eu
cd "$(dirname "$0")/.."
pin() {
  "${UV:-.venv/bin/uv}" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --custom-compile-command "make lock" --output-file "$1" "$2"
}
pin deploy/requirements.txt pyproject.toml
pin deploy/requirements-build.txt deploy/requirements-build.in
