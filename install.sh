#!/bin/sh
# Installs callsign.  `./install.sh --help` lists what it can do.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
venv="$here/.venv"

usage() {
  cat <<'TEXT'
./install.sh demo      makes .venv, then plays one call through every handler against stand-in vendors
./install.sh --local   makes .venv with .venv/bin/callsign, agi-debug and callsign.agi
./install.sh --help    this text

PYTHON=/path/to/python3 chooses the interpreter (3.10 or later).
TEXT
}

say() { printf '%s\n' "$*"; }

fail() {
  say "install.sh: $*" >&2
  exit 1
}

is_usable() {
  "$1" -c 'import sys, venv, sqlite3, ssl; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    is_usable "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.10+ with venv, sqlite3 and ssl"
    say "$PYTHON"
    return
  fi
  for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    if command -v "$name" >/dev/null 2>&1 && is_usable "$name"; then
      command -v "$name"
      return
    fi
  done
  fail "no Python 3.10 or later with venv found; on Debian: apt-get install python3 python3-venv"
}

# The environment is whole when its stamp holds the requirements; a half-made one is made anew.
make_environment() {
  stamp="$venv/callsign-requirements.txt"
  if [ -z "${PYTHON:-}" ] && cmp -s "$here/agi/requirements.txt" "$stamp" && is_usable "$venv/bin/python"; then
    return
  fi
  python=$(find_python)
  say "Making .venv with $("$python" --version) …"
  "$python" -m venv --clear "$venv" || fail "no virtual environment; on Debian: apt-get install python3-venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/agi/requirements.txt" ||
    fail "the packages of agi/requirements.txt could not be installed: is a package index reachable?"
  cp "$here/agi/requirements.txt" "$stamp"
}

# A two-line command in the environment that runs one of agi/ with the environment's Python.
link_command() {
  name=$(basename "$1")
  cat >"$venv/bin/$name" <<TEXT
#!/bin/sh
exec "$venv/bin/python" "$here/agi/$1" "\$@"
TEXT
  chmod 755 "$venv/bin/$name"
}

local_install() {
  make_environment
  link_command bin/callsign
  link_command bin/agi-debug
  link_command agi-bin/callsign.agi
}

main() {
  [ $# -le 1 ] || {
    usage >&2
    exit 2
  }
  case "${1:-}" in
    demo)
      local_install
      PYTHONPATH="$here/agi" exec "$venv/bin/python" -m callsign.demo
      ;;
    --local)
      local_install
      say "Ready: .venv/bin/callsign, .venv/bin/agi-debug and the plain script .venv/bin/callsign.agi"
      ;;
    -h | --help)
      usage
      ;;
    "")
      say "install.sh: this version has no system-wide installation yet; README says how to run it by hand" >&2
      usage >&2
      exit 2
      ;;
    *)
      say "install.sh: unknown: $1" >&2
      usage >&2
      exit 2
      ;;
  esac
}

main "$@"
