#!/usr/bin/env bash
# Everything that must pass: lint, format, types, tests. Runs all of them, then says which failed.
#
#     bash scripts/test.sh [--quick] [options of pytest]
#
# --quick leaves out the tests that are marked as slow. Two processes share the test files, each with one thread: TEST_PROCESSES
# is another number of them. Uses the environment of quickstart.sh. PYTHON names the interpreter (default: python3).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

chosen=()
if [ "${1:-}" = --quick ]; then
    shift
    chosen=(-m "not slow")
fi

make_venv
install_package "[test]"

failed=""
check() { # NAME MODULE ARGUMENT...
    local name=$1
    shift
    printf '\n== %s\n' "$name"
    .venv/bin/python -m "$@" || failed="$failed, $name"
}

export OMP_NUM_THREADS=1
unset PYTHONDONTWRITEBYTECODE # or every process that a test starts compiles the package again
check "ruff check" ruff check .
check "ruff format" ruff format --check .
check "mypy" mypy ssl_mix scripts tests
check "pytest" pytest -n "${TEST_PROCESSES:-2}" --dist loadfile --no-loadscope-reorder ${chosen[@]+"${chosen[@]}"} "$@"

if [ -n "$failed" ]; then fail "failed: ${failed#, }"; fi
printf '\nAll checks passed.\n'
