# Sourced by quickstart.sh and test.sh: a virtual environment in .venv at the root of the repository, with the package in it.
# PYTHON names the interpreter that makes it (default: python3). Leaves the shell in the root of the repository.

CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

fail() {
    printf 'ssl-mix: %s\n' "$*" >&2
    exit 1
}

new_enough() { # INTERPRETER
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

# Keeps an environment whose Python starts, is new enough and has pip; makes a new one otherwise.
make_venv() {
    local python=${PYTHON:-python3} found
    if new_enough .venv/bin/python && .venv/bin/python -c 'import pip' 2>/dev/null; then return; fi
    found=$("$python" -c 'import sys; print(sys.version.split()[0])' 2>/dev/null) ||
        fail "cannot run '$python': install Python 3.10 or newer, or name one, as in PYTHON=python3.12 bash $0"
    new_enough "$python" ||
        fail "'$python' is Python $found, 3.10 or newer is needed: install one and name it, as in PYTHON=python3.12 bash $0"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "'$python' lacks venv or ensurepip: install them (Debian and Ubuntu: sudo apt install python${found%.*}-venv)"
    echo "Making a virtual environment in $PWD/.venv (Python $found)"
    "$python" -m venv --clear .venv || fail "could not make $PWD/.venv"
}

# Installs the package in editable mode unless that was done here, with the same metadata, before.
install_package() { # EXTRAS, as in "[test]"
    local stamp=.venv/installed$1 sum
    sum=$({ pwd -P; cat setup.cfg pyproject.toml; } | cksum)
    if [ -x .venv/bin/ssl-mix ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then return; fi
    echo "Installing ssl-mix$1 (the first time downloads PyTorch, which may take some minutes)"
    # pip 21.3 is the first that installs from setup.cfg and pyproject.toml in editable mode.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "pip>=21.3" &&
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$1" ||
        fail "pip could not install the package: see its message above, then run this again"
    echo "$sum" >"$stamp"
}
