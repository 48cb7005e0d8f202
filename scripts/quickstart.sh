#!/usr/bin/env bash
# From a fresh clone to a trained network: makes .venv, installs the package with its weights and runs its demo into runs/demo.
#
#     bash scripts/quickstart.sh [options of ssl-mix demo]
#
# PYTHON names the interpreter (default: python3). Folders in options are relative to the root of the repository.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

make_venv
install_package "[weights]"

case " $* " in
    *" --out"[\ =]*) ;; # a folder of the caller's choice is not ours to overwrite
    *)
        if [ -e runs/demo ]; then set -- --overwrite "$@"; fi
        set -- --out runs/demo "$@"
        ;;
esac
.venv/bin/ssl-mix demo "$@"
printf '\nThe ssl-mix command is on your path after: source "%s/.venv/bin/activate"\n' "$PWD"
