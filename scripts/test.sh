#!/usr/bin/env bash
# Everything that must pass: lint, format, types, tests. Runs all of them, then says which failed.
#
#     bash scripts/test.sh [options of pytest]
#
# Uses the environment of quickstart.sh. PYTHON names the interpreter (default: python3).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

make_venv
install_package "[test]"

failed=""
check() { # NAME MODULE ARGUMENT...
    local name=$1
    shift
    printf '\n== %s\n' "$name"
    .venv/bin/python -m "$@" || failed="$failed, $name"
}

check "ruff check" ruff check .
check "ruff format" ruff format --check .
check "mypy" mypy --strict ssl_mix scripts
check "pytest" pytest "$@"

if [ -n "$failed" ]; then fail "failed: ${failed#, }"; fi
printf '\nAll checks passed.\n'
