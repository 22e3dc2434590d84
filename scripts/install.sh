#!/usr/bin/env bash
# Makes the virtual environment $1: this project, editable, with everything that developing it needs.
set -euo pipefail

venv=$1
python=${PYTHON:-python3}
constraints=constraints.txt

if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
    echo "install: $venv, by uv"
    [ -x "$venv/bin/python" ] || uv venv -q --python "$python" "$venv"
    uv pip install -q --python "$venv/bin/python" --constraint "$constraints" --editable '.[dev]'
else
    echo "install: $venv, by pip (slower; with uv on the PATH this takes seconds)"
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" scripts/install_servers.py --debian python3-venv # Debian keeps it in a package of its own
    fi
    [ -x "$venv/bin/pip" ] || "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install -q --constraint "$constraints" --editable '.[dev]'
fi
