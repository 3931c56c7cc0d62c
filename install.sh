#!/bin/sh
# Installs callsign.  `./install.sh --help` lists what it can do.
#
# The installation is the list in `system_install`.  Each step looks first, says what it changes, and changes nothing
# with --dry-run; a step that finds all as it should be says nothing.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=''      # --root: in front of every path below
half=''      # --server or --dialplan: server or dialplan alone
dry_run=''
change_words=Changes:
purge=''
wheels=''    # --wheels: instead of a package index
changes=0
changed=''   # whether the last step had something to change
python=''    # none with --dialplan
system_wide='' # whether the Python is to run as the service
restart=''   # why the service has to be restarted
alone=''     # whether no other run is under way
unended=''   # whether an earlier run was cut short
old_server='' # one that runs on with the code of before: nothing here can restart it
notes=''     # said at the end
work=''      # a folder for files that are being made

home=/opt/callsign
settings=/etc/callsign/callsign.toml
settings_folder=/etc/callsign/callsign.d
store=/var/lib/callsign
unit=/etc/systemd/system/callsign.service
account=callsign  # user and group
bin=/usr/local/bin
begun=$home/begun # there while things are changed: a run that is cut short leaves it to the next one
stamp=callsign-requirements.txt # in an environment: what it is made of

usage() {
  cat <<'TEXT'
./install.sh demo        makes .venv, then plays one call through every handler against stand-in vendors
./install.sh --local     makes .venv with .venv/bin/callsign, agi-debug and callsign.agi

sudo ./install.sh        on a PBX: /opt/callsign, commands, plain AGI script, settings, dialplan file, service;
                         also upgrades; safe to run twice
     --server            on a machine without Asterisk: all but dialplan file and plain script
     --dialplan          on a PBX whose server is on another machine: the dialplan file alone, without Python
     --dry-run           says what it would change, and changes nothing
     --root DIR          builds the tree in DIR for a package: no users, no service
     --wheels DIR        takes the Python packages from DIR instead of a package index (demo and --local too)
     --uninstall         takes all away but settings and jobs; with --purge these too

./install.sh --help      this text

PYTHON=/path/to/python3 chooses the interpreter (3.10 or later).
TEXT
}

say() { printf '%s\n' "$*"; }

fail() {
  say "install.sh: $*" >&2
  exit 1
}

usage_error() {
  say "install.sh: $*" >&2
  usage >&2
  exit 2
}

note() {
  notes="$notes
  $*"
}

# -- Python -------------------------------------------------------------------------------------------

is_usable() { # by its word: other programs, like `true`, end well too
  [ "$("$1" -c 'import sys, venv, ensurepip, sqlite3, ssl; print(sys.version_info >= (3, 10))' 2>/dev/null)" = True ]
}

is_in_a_home_folder() { # the unit keeps the service's user out of all of them
  case $("$1" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))') in
    /home/* | /root/*) [ -n "$system_wide" ] ;;
    *) return 1 ;;
  esac
}

find_python() { # VENV: the Python that it is made of, if there is one, is the first choice
  if [ -n "${PYTHON:-}" ]; then
    is_usable "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.10+ with venv, sqlite3 and ssl"
    ! is_in_a_home_folder "$PYTHON" || fail "PYTHON=$PYTHON lies in a home folder, which the service's user cannot enter"
    command -v "$PYTHON"
    return
  fi
  before=$("$1/bin/python" -c 'import sys; print(sys._base_executable)' 2>/dev/null) || before=python3
  case $before in "$1"/*) before=python3 ;; esac # of one that is half made
  for name in "$before" python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    if command -v "$name" >/dev/null 2>&1 && is_usable "$name" && ! is_in_a_home_folder "$name"; then
      command -v "$name"
      return
    fi
  done
  fail "no Python 3.10 or later with venv found.
$(python_advice)"
}

python_advice() {
  found=$(python3 -c 'import sys; print("new" if sys.version_info >= (3, 10) else "Python " + sys.version.split()[0])' 2>/dev/null) ||
    found=none
  case $found in
    new)
      say "This python3 lacks venv, ensurepip, sqlite3 or ssl.  Debian, Ubuntu: apt-get install python3-venv"
      return
      ;;
    none) say "There is no python3 here.  Debian 12, Ubuntu 22.04 and later: apt-get install python3-venv" ;;
    *) say "The Python of $(os_release ID) $(os_release VERSION_ID) is too old: $found.  Red Hat 8 and 9: dnf install python3.11" ;;
  esac
  say "Either PYTHON=/path/to/python3 names a newer one that you have installed, outside of /home and /root, or callsign runs on
another machine: there sudo ./install.sh --server, here sudo ./install.sh --dialplan, which needs no Python:
agi/callsign/commands/help/another-host.txt."
}

os_release() { # NAME: its value
  sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" /etc/os-release 2>/dev/null || true
}

has_cluster() { # whether the settings name a database that several hosts share
  grep -Eqs '^[[:space:]]*\[[[:space:]]*cluster[[:space:]]*\]' "$root$settings" "$root$settings_folder"/*.toml
}

requirements_of() { # PYTHON: what an environment is made of; equal text, equal environment
  cat "$here/agi/requirements.lock"
  ! has_cluster || cat "$here/agi/requirements-cluster.lock"
  "$1" -c 'import sys; print("#", sys.version.split()[0], sys.base_prefix)'
}

# Whole when its stamp, written last, says what is wanted; a half-made one is made anew.
is_complete() { # VENV PYTHON
  is_usable "$1/bin/python" && [ "$(requirements_of "$2")" = "$(cat "$1/$stamp" 2>/dev/null)" ]
}

make_environment() { # VENV PYTHON: wheels alone, and only those of the lock: nothing of a package runs before it was compared
  "$2" -m venv --clear "$1" || fail "no virtual environment could be made in $1"
  of_cluster=$here/agi/requirements-cluster.lock
  has_cluster || of_cluster=''
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: --require-hashes \
    ${wheels:+--no-index --find-links "$wheels"} -r "$here/agi/requirements.lock" ${of_cluster:+-r "$of_cluster"} ||
    fail "the packages of agi/${of_cluster:+requirements-cluster.lock and agi/}requirements.lock could not be installed:
is a package index reachable?  Without one: --wheels"
}

wrapper_script() { # PYTHON SCRIPT: the text of a command that runs one with the other
  printf '#!/bin/sh\n'
  [ "${2##*/}" != callsign.agi ] || echo "trap '' HUP # Asterisk sends it at a hang-up: the call is stored all the same"
  printf 'exec "%s" "%s" "$@"\n' "$1" "$2"
}

# -- ./install.sh --local ------------------------------------------------------------------------------

local_install() {
  venv="$here/.venv"
  cd "$here" # Python looks for modules where it stands
  exec 9<.
  ! command -v flock >/dev/null || flock 9 # another run makes the same .venv
  python=$(find_python "$venv")
  if ! is_complete "$venv" "$python"; then
    say "Making .venv with $("$python" --version) …"
    make_environment "$venv" "$python"
    requirements_of "$python" >"$venv/$stamp"
  fi
  for script in bin/callsign bin/agi-debug agi-bin/callsign.agi; do
    command="$venv/bin/$(basename "$script")"
    wrapper_script "$venv/bin/python" "$here/agi/$script" >"$command"
    chmod 755 "$command"
  done
  exec 9<&-
}

# -- What a step is made of ----------------------------------------------------------------------------

owe_the_rest() { # to the next run, should this one be cut short
  [ -n "$root$dry_run" ] || [ "$what" != install ] || : >"$begun"
}

change() { # WORDS COMMAND…: says it, and does it unless it is only to be said
  changes=$((changes + 1))
  changed=yes
  owe_the_rest
  say "  $1"
  shift
  [ -n "$dry_run" ] || "$@"
}

has_owner_and_mode() { # PATH MODE OWNER: a package's tree has no owners yet
  if [ -n "$root" ]; then
    [ "$(stat -c %a "$1" 2>/dev/null)" = "$2" ]
  else
    [ "$(stat -c '%a %U:%G' "$1" 2>/dev/null)" = "$2 $3" ]
  fi
}

install_folder() { # PATH MODE OWNER
  has_owner_and_mode "$root$1" "$2" "$3" || change "folder $1  $3 $2" make_folder "$root$1" "$2" "$3"
}

make_folder() { # PATH MODE OWNER
  if [ -n "$root" ]; then install -d -m "$2" "$1"; else install -d -m "$2" -o "${3%:*}" -g "${3#*:}" "$1"; fi
}

# Whoever may put names into a folder can put a link there: so root itself works only where nobody but root may.
owner_of() { # FOLDER: that user, and its group
  owner=$(stat -c %U "$1" 2>/dev/null || echo root) group=$(stat -c %G "$1" 2>/dev/null || echo root)
  if [ "$owner" = root ] && [ -n "$(find "$1" -maxdepth 0 -perm -020 2>/dev/null)" ] &&
    id -nG "$asterisk_user" 2>/dev/null | tr ' ' '\n' | grep -qx "$group"; then
    owner=$asterisk_user
  fi
  say "$owner:$group"
}

as_owner() { # FOLDER COMMAND…: runs it in that folder, as its owner, with no way to root's terminal
  (
    cd -P "$1" || exit
    shift
    who=$(owner_of .)
    if [ -n "$root" ] || [ "${who%:*}" = root ]; then exec "$@"; fi
    exec setsid runuser -u "${who%:*}" -g "${who#*:}" -- "$@"
  )
}

install_file() { # NEW PATH MODE OWNER
  changed=''
  cmp -s "$1" "$root$2" && has_owner_and_mode "$root$2" "$3" "$4" && return
  change "file $2  $4 $3" write_file "$1" "$root$2" "$3" "$4"
}

write_file() { # NEW PATH MODE OWNER: whole or not at all
  [ -d "$(dirname "$2")" ] || mkdir -p "$(dirname "$2")"
  [ -z "$root" ] || set -- "$1" "$2" "$3" ''
  # shellcheck disable=SC2016 # the inner shell's
  as_owner "$(dirname "$2")" sh -c 'rm -f "$1.new" && cat >"$1.new" && chmod "$2" "$1.new" && { [ -z "$3" ] || chown "$3" "$1.new"; } &&
    mv -f "$1.new" "$1"' sh "$(basename "$2")" "$3" "$4" <"$1"
}

replace_folder() { # NEW PATH: a folder in place of another; plain scripts that start meanwhile find one of them
  rm -rf "$2.old"
  if [ -e "$2" ] && [ -n "$python" ] && "$python" -I "$here/agi/callsign/commands/exchange.py" "$1" "$2" 2>/dev/null; then
    mv "$1" "$2.old"
    return
  fi
  [ ! -e "$2" ] || mv "$2" "$2.old"
  mv "$1" "$2"
}

remove() { # PATH
  if [ -e "$root$1" ] || [ -L "$root$1" ]; then
    change "remove $1" as_owner "$root$(dirname "$1")" rm -rf "./$(basename "$1")"
  fi
}

# -- What there is -------------------------------------------------------------------------------------

look_around() {
  asterisk_conf=/etc/asterisk/asterisk.conf
  [ -r "$root$asterisk_conf" ] || [ ! -r "$root/usr/local$asterisk_conf" ] || asterisk_conf=/usr/local$asterisk_conf
  choose_half
  asterisk_user=root freepbx='' dialplan_entry='' globals=''
  if [ "$half" != server ]; then
    find_asterisk
    find_freepbx
  fi
}

choose_half() { # or refuses the one that was asked for
  if [ "$half" = dialplan ] && [ -e "$root$home/venv" ]; then
    fail "the server is installed here, and its dialplan file with it: sudo ./install.sh keeps both up to date.
If the server is to run on another machine, take this one away first: sudo $home/install.sh --uninstall"
  fi
  if [ -z "$half" ] && [ "$what" = install ] && [ -e "$root$home/dialplan" ] && [ ! -e "$root$home/venv" ]; then
    fail "the dialplan alone is installed here, for a server on another machine: sudo ./install.sh --dialplan keeps it up to date.
If the server is to run here from now on: sudo rm -r $home, and run the installer again."
  fi
  if [ -r "$root$asterisk_conf" ]; then
    [ "$half" != server ] || fail "--server is for a machine without Asterisk, and here is $asterisk_conf: sudo ./install.sh"
  elif [ -z "$root" ]; then # a package's tree needs no Asterisk
    [ "$half$what" != uninstall ] || half=server
    [ "$half" = server ] || fail "no Asterisk found: there is no /etc/asterisk/asterisk.conf.
The server runs without Asterisk too: here sudo ./install.sh --server, on the PBX sudo ./install.sh --dialplan."
  fi
}

find_asterisk() {
  etc=$(asterisk_option astetcdir "$(dirname "$asterisk_conf")")
  data=$(asterisk_option astdatadir /var/lib/asterisk)
  agi_bin=$(asterisk_option astagidir "$data/agi-bin")
  run_folder=$(asterisk_option astrundir /var/run/asterisk)
  # Whoever may write where Asterisk keeps its database is whom it runs as, unless its settings say so.
  var_lib=$(asterisk_option astvarlibdir /var/lib/asterisk)
  asterisk_user=$(asterisk_option runuser "$(stat -c %U "$root$var_lib" 2>/dev/null || echo root)")
  [ -n "$root" ] || id "$asterisk_user" >/dev/null 2>&1 || fail "Asterisk runs as $asterisk_user, whom this system does not know"
  say "Asterisk: settings $etc, agi-bin $agi_bin, runs as $asterisk_user"
}

asterisk_option() { # NAME DEFAULT: from asterisk.conf, "name => value" or "name = value"
  found=$(sed -n "s/^[[:space:]]*$1[[:space:]]*=>\{0,1\}[[:space:]]*\([^;[:space:]]*\).*/\1/p" "$root$asterisk_conf" 2>/dev/null | tail -n 1)
  say "${found:-$2}"
}

# FreePBX's /etc/freepbx.conf names its web folder, whose framework module carries FreePBX's version.
find_freepbx() {
  dialplan_entry=$etc/extensions.conf globals='[globals] of extensions.conf'
  [ -e "$root/etc/freepbx.conf" ] || return 0
  admin=$(sed -n "s|.*require_once(['\"]\(.*\)/bootstrap\.php['\"]).*|\1|p" "$root/etc/freepbx.conf" 2>/dev/null | tail -n 1)
  freepbx=$(sed -n 's|.*<version>\([0-9][^<]*\)</version>.*|\1|p' \
    "$root${admin:-/var/www/html/admin}/modules/framework/module.xml" 2>/dev/null | head -n 1)
  freepbx=${freepbx:-of unknown version}
  dialplan_entry=$etc/extensions_custom.conf globals=globals_custom.conf
  say "FreePBX: $freepbx"
}

has_systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

is_running() { # whether a server answers at the address that the settings name
  "$bin/callsign" status --json 2>/dev/null | grep -q '"running": true'
}

# -- What must not be --------------------------------------------------------------------------------

refuse_what_is_not_ours() {
  [ -n "$root" ] || [ ! -e "$home" ] || [ "$(stat -c %U "$home")" = root ] || fail "$home is not root's: move it away first"
  programs="$bin/callsign $bin/agi-debug"
  [ "$half" = server ] || programs="$programs $agi_bin/callsign.agi"
  for program in $programs; do
    [ ! -e "$root$program" ] || grep -q "$home/" "$root$program" ||
      fail "$program is there and is not of this installer: move it away first"
  done
}

refuse_what_would_hurt() {
  theirs=$(grep -Els "^[[:space:]]*listen[[:space:]]*=.*:4573[\"']" "$root$settings" "$root$settings_folder"/*.toml | head -n 1)
  if [ -n "$freepbx" ] && [ -n "$theirs" ]; then
    fail "${theirs#"$root"}: [server] listen: port 4573 belongs to FreePBX's own FastAGI server; take 4591"
  fi
  ours=$root$etc/extensions_callsign.conf
  if [ -e "$ours" ] && ! cmp -s "$ours" "$here/dialplan/extensions_callsign.conf" &&
    ! cmp -s "$ours" "$root$home/dialplan/extensions_callsign.conf" &&
    ! cmp -s "$ours" "$root$home/dialplan.old/extensions_callsign.conf"; then # a run that was cut short came no further
    fail "$etc/extensions_callsign.conf was changed by somebody: put what is yours into a file of your own
(a copy of a context needs another name), remove this one, and run the installer again."
  fi
  names=$(sed -n 's/^\[\([^]]*\)\].*/\1/p' "$here/dialplan/extensions_callsign.conf" | paste -s -d '|' -)
  taken=$(grep -REn "^[[:space:]]*\[($names)\]" "$root$etc" --include='*.conf' 2>/dev/null |
    grep -v "^$root$etc/extensions_callsign.conf:" | cut -d: -f1-2) || true
  [ -z "$taken" ] || fail "a context of callsign's is defined already, and two of one name would be mixed line by line:
$taken
Rename yours, or merge by calling it from your own dialplan: Gosub(callsign-…,s,1) then your lines."
  refuse_what_is_gone
}

refuse_what_is_gone() { # a file of an earlier version that the dialplan includes
  included=$(grep -REn "^[[:space:]]*#(try)?include[^;]*$home/dialplan/" "$root$etc" --include='*.conf' 2>/dev/null) || true
  gone=$(printf '%s\n' "$included" | while read -r line; do
    name=${line##*"$home/dialplan/"}
    [ -z "$line" ] || [ -e "$here/dialplan/${name%%[!A-Za-z0-9_.]*}" ] || say "$line"
  done)
  [ -z "$gone" ] || fail "the dialplan includes a file that this version does not have:
$gone
Take the line out, or name what took its place: for FreePBX's hooks extensions_callsign_freepbx_hooks.conf, in all versions.
Then run the installer again."
}

refuse_while_called() { # a call that jumps to a context that is gone ends
  callers=$(grep -REn '^[^;]*(callsign-[a-z]+|callsign\.agi|CALLSIGN_AGI)' "$root$etc" \
    --include='*.conf' --include='*.ael' --include='*.lua' 2>/dev/null |
    grep -v "^$root$etc/extensions_callsign.conf:" | cut -d: -f1-2) || true
  how='Remove these lines, reload the dialplan, and run the installer again.'
  [ -z "$freepbx" ] || how="Where FreePBX wrote the line: the trunk's Context back to from-pstn, Custom Destinations of callsign's out, Apply Config.
Remove your own lines, and run the installer again."
  [ -z "$callers" ] || fail "the dialplan still calls callsign, and such a call would end when it is gone:
$callers
$how"
  ours="^$root$dialplan_entry:[0-9]*:$our_lines\$"
  [ ! -L "$root$dialplan_entry" ] || ours='^$' # whoever wrote it through the link takes it out again
  others=$(
    {
      includes_our_file -Rn "$root$etc" --include='*.conf' | grep -Ev "$ours" || :
      grep -REn "^[[:space:]]*#(try)?include[^;]*($home/|_callsign_|features_callsign)" "$root$etc" --include='*.conf' 2>/dev/null
    } | cut -d: -f1-2 | sort -u
  ) || true
  [ -z "$others" ] || fail "a file of callsign's is included by a line of your own, and without it what stands behind may not be loaded:
$others
Remove this line, and run the installer again."
}

# -- The steps on a PBX --------------------------------------------------------------------------------

account_step() {
  readers=$account
  [ "$asterisk_user" = root ] || readers="$account and $asterisk_user"
  [ -z "$root" ] || return 0
  getent passwd "$account" >/dev/null || change "user and group $account" useradd --system --user-group --no-create-home \
    --home-dir "$store" --shell /usr/sbin/nologin --comment "callsign's server" "$account"
  if [ "$asterisk_user" != root ] && ! id -nG "$asterisk_user" | tr ' ' '\n' | grep -qx "$account"; then
    change "$asterisk_user joins the group $account" usermod -aG "$account" "$asterisk_user"
  fi
}

choose_python() {
  venv=$root$home/venv
  python=$(find_python "$venv")
  say "Python: $("$python" --version | cut -d ' ' -f 2), $python"
}

environment_step() {
  is_complete "$venv" "$python" && return
  restart='new environment'
  change "environment $home/venv" make_system_environment
}

make_system_environment() { # without what only made it: pip, and scripts that name the folder it was made in
  new=$venv.new
  mkdir -p "$root$home"
  [ -n "$unended" ] || rm -f "$root$begun" # a package that cannot be had changes nothing
  make_environment "$new" "$python"
  "$new/bin/python" -m pip --quiet --disable-pip-version-check uninstall --yes pip setuptools 2>/dev/null
  find "$new/bin" -type f ! -name 'python*' -exec rm {} +
  sed -i '/^command/d' "$new/pyvenv.cfg"
  find "$new" -name __pycache__ -prune -exec rm -r {} +
  "$new/bin/python" -m compileall -qq -s "$new" -p "$home/venv" "$new/lib" || true # pyst2 has a module of Python 2
  requirements_of "$python" >"$new/$stamp"
  chmod -R u=rwX,go=rX "$new"
  owe_the_rest
  replace_folder "$new" "$venv"
}

code_step() { # what runs, and what takes it away again
  parts='agi conf dialplan README.md install.sh'
  [ "$half" != dialplan ] || parts='dialplan README.md install.sh'
  for part in $parts; do
    diff -rq -x __pycache__ "$here/$part" "$root$home/$part" >/dev/null 2>&1 && continue
    [ "$part" != agi ] || restart='new code'
    change "code $home/$part" copy_part "$part"
  done
}

copy_part() {
  new=$root$home/$1.new
  rm -rf "$new"
  mkdir -p "$root$home"
  cp -R "$here/$1" "$new"
  find "$new" -name __pycache__ -prune -exec rm -r {} +
  chmod -R u=rwX,go=rX "$new"
  if [ "$1" = agi ]; then
    "$root$home/venv/bin/python" -m compileall -q -s "$new" -p "$home/agi" "$new" || fail "$new could not be compiled"
    check_settings "$new"
  fi
  replace_folder "$new" "$root$home/$1"
}

check_settings() { # CODE: as the service will read them, before it takes the place of one that works
  [ -z "$root" ] && [ -e "$settings" ] || return 0
  "$home/venv/bin/python" "$1/bin/callsign" check --config "$settings" >"$work/check" 2>&1 ||
    fail "the settings cannot be used as they are; what runs goes on as it did:
$(cat "$work/check")"
}

commands_step() {
  for name in callsign agi-debug; do
    wrapper_script "$home/venv/bin/python" "$home/agi/bin/$name" >"$work/$name"
    install_file "$work/$name" "$bin/$name" 755 root:root
  done
}

script_step() { # no link: FreePBX's chown follows links and removes those that lead nowhere; its owner is whose the folder is
  wrapper_script "$home/venv/bin/python" "$home/agi/agi-bin/callsign.agi" >"$work/callsign.agi"
  install_file "$work/callsign.agi" "$agi_bin/callsign.agi" 755 "$(owner_of "$root$agi_bin")"
}

settings_step() { # /etc/asterisk is no place for keys: FreePBX makes all in it readable to its web server
  install_folder "$(dirname "$settings")" 750 "root:$account"
  install_folder "$settings_folder" 2750 "root:$account" # new files in it belong to its group
  [ -e "$root$settings" ] || install_file "$here/conf/callsign.toml.example" "$settings" 640 "root:$account"
}

store_step() { # new files in it belong to its group
  has_owner_and_mode "$root$store" 2770 "$account:$account" || change "folder $store  $account:$account 2770" make_store
}

make_store() { # or takes over one that somebody made by hand: root has it first, so that no more names come into it
  was=$(stat -c %U "$root$store" 2>/dev/null) || was=$account
  if [ -z "$root" ] && [ "$was" != "$account" ]; then
    make_folder "$store" 700 root:root
    find "$store" -maxdepth 1 -type f -links 1 -user "$was" -exec chown -h "$account:$account" {} +
  fi
  make_folder "$root$store" 2770 "$account:$account"
}

access_step() {
  [ -z "$root" ] || return 0
  for folder in "$(dirname "$settings")" "$settings_folder"; do
    access look "$folder" settings || change "$readers may read $folder" access grant "$folder" settings
  done
  access look "$store" store || change "$readers may use $store" access grant "$store" store
}

access() { # look|grant FOLDER settings|store
  if [ ! -d "$2" ] || [ ! -x "$home/venv/bin/python" ]; then # a dry run; new folders are the service's, not yet Asterisk's
    [ "$asterisk_user" = root ]
    return
  fi
  as_owner "$2" "$home/venv/bin/python" -I - "$1" "$3" "$asterisk_user" <"$here/agi/callsign/commands/access.py"
}

dialplan_step() {
  entry=$root$dialplan_entry
  owner=$(owner_of "$root$etc")
  mode=640
  if [ -e "$entry" ]; then
    mode=$(stat -L -c %a "$entry")
    [ "${owner%:*}" != root ] || owner=$(stat -L -c %U:%G "$entry")
  fi
  was_there=''
  [ ! -e "$root$etc/extensions_callsign.conf" ] || was_there=yes
  install_file "$here/dialplan/extensions_callsign.conf" "$etc/extensions_callsign.conf" "$mode" "$owner"
  [ -z "$changed" ] || [ "$half$was_there" != dialplanyes ] ||
    note "The server is to be upgraded first: one of before may answer an argument of the new dialplan's (call=, say) with ERROR."
  if [ ! -e "$entry" ]; then
    note "There is no $dialplan_entry: put \`$include_line\` into your dialplan."
  elif [ ! -L "$entry" ] && grep -qxE "$our_lines" "$entry" && ! grep -qxF "$include_line" "$entry"; then
    change "line  $include_line  in $dialplan_entry, in place of #include" rewrite_entry "sed -E 's/^$our_lines\$/$include_line/' \"\$1\""
  elif includes_our_file -q "$entry" "$root$etc/extensions.conf"; then
    :
  elif [ -L "$entry" ]; then
    note "$dialplan_entry is a link: put \`$include_line\` at the top of what it leads to."
  elif ! grep -E '^[[:space:]]*[^;[:space:]]' "$entry" | head -n 1 | grep -Eqv '^[[:space:]]*[[#]'; then
    # At the top: what others append to the file later goes on to belong to the context they see at its end.
    # shellcheck disable=SC2016 # the inner shell's
    change "line  $include_line  at the top of $dialplan_entry" rewrite_entry 'printf "%s\n" "$2" && cat "$1"' ||
      note "$dialplan_entry cannot be changed by ${owner%:*}, who owns its folder: put \`$include_line\` at its top."
  else
    note "$dialplan_entry begins with lines outside of any context: put \`$include_line\` at its end."
  fi
  [ -z "$changed$unended" ] || reload_dialplan
}

include_line='#tryinclude extensions_callsign.conf' # were the file missing, all behind an #include would be gone too
our_lines='#(try)?include extensions_callsign\.conf'   # earlier versions wrote #include

includes_our_file() { # GREP'S ARGUMENTS: lines that include our file, in any of Asterisk's ways of writing it
  grep -E '^[[:space:]]*#(try)?include[[:space:]]+["<]?([^;]*/)?extensions_callsign\.conf' "$@" 2>/dev/null
}

rewrite_entry() { # COMMAND: by what it prints of the file $1 and the line $2
  # shellcheck disable=SC2016 # the inner shell's
  as_owner "$root$etc" sh -c 'rm -f "$1.new" && cp -a "$1" "$1.new" && { '"$1"'; } >"$1.new" && mv -f "$1.new" "$1"' \
    sh "$(basename "$dialplan_entry")" "$include_line"
}

reload_dialplan() { # an old server answers arguments that it does not know with ERROR
  [ -z "$root" ] && [ -n "$unended$changed" ] && [ -S "$run_folder/asterisk.ctl" ] || return 0
  if [ -n "$old_server" ]; then
    note "Then: asterisk -rx \"dialplan reload\".  Not before: the new dialplan may pass arguments (call=, say) that the old code
  answers with ERROR."
    return
  fi
  change 'asterisk -rx "dialplan reload"' asterisk -C "$asterisk_conf" -rx 'dialplan reload'
}

service_step() {
  if [ -z "$root" ] && ! has_systemd; then
    note "No systemd here.  Let your own service manager run this, as the user $account:
    $home/venv/bin/python $home/agi/bin/callsign serve"
    if [ -n "$restart" ] && is_running; then
      old_server=yes
      note "The server that runs now goes on with the old code: end it, and start it again."
    fi
    return
  fi
  install_file "$here/conf/callsign.service" "$unit" 644 root:root
  [ -z "$root" ] || return 0
  if [ -n "$changed$unended" ]; then
    restart=${restart:-new unit}
    change 'systemctl daemon-reload' systemctl daemon-reload
  fi
  systemctl is-enabled --quiet callsign 2>/dev/null || change 'systemctl enable callsign' systemctl enable --quiet callsign
  systemctl is-active --quiet callsign || restart=${restart:-it does not run}
  [ -z "$restart" ] || change "systemctl restart callsign  ($restart)" start_service
}

start_service() { # returns when it answers calls, for it says so to systemd
  check_settings "$home/agi"
  systemctl restart callsign || fail "the service did not start; its last words:
$(journalctl --unit callsign --lines 10 --output cat --no-pager 2>/dev/null)"
}

try_step() {
  [ -z "$root$dry_run" ] && { has_systemd || is_running; } || return 0
  address=$("$bin/callsign" status --json | sed -n 's/.*"address": "\([^"]*\)".*/\1/p')
  say "A simulated call through the service:"
  "$bin/agi-debug" --timeout 10 "agi://$address/ping" >"$work/ping" 2>&1 || true
  grep -E '^(CALLSIGN|AGISTATUS|time)' "$work/ping" | sed 's/^/  /'
  grep -q '^CALLSIGNSTATUS=OK' "$work/ping" || fail "the service did not answer it, see journalctl -u callsign
$("$bin/callsign" status 2>&1 | head -n 1)
$(cat "$work/ping")"
}

show_warnings() { # what runs, and should be looked at all the same
  [ -z "$dry_run" ] || return 0
  check_settings "$home/agi"
  [ ! -e "$work/check" ] || sed -n 's/^warning: /     &/p' "$work/check"
}

note_sudo() { # Red Hat's and newer Debians' sudo takes commands from the system's own folders alone
  [ -z "$root$dry_run" ] && sudo -n true 2>/dev/null || return 0
  sudo -n sh -c 'command -v callsign' >/dev/null 2>&1 ||
    note "sudo does not look in $bin here: write sudo $bin/callsign, or add $bin to secure_path (visudo)."
}

next_steps() {
  how='reload' log='journalctl -u callsign'
  [ "$half" != server ] || how=restart # for listen
  how=" && systemctl $how callsign"
  has_systemd || how='; then start the server, anew if it runs' log="the server's log"
  call="In ${dialplan_entry##*/}, where a call comes in:  same => n,Gosub(callsign-skarabee,s,1)
     then: asterisk -rx \"dialplan reload\""
  [ -z "$freepbx" ] || call="${half:+On the server: }callsign help freepbx: which piece for which wish, and where to click"
  say 'Next:'
  case $half in
    server) cat <<TEXT ;;
  1. \$EDITOR $settings: the vendors; then: callsign check$how
  2. callsign help another-host: how the PBX reaches this machine, and nobody else does
  3. On the PBX: sudo ./install.sh --dialplan
TEXT
    dialplan) cat <<TEXT ;;
  1. In $globals, where A.B.C.D is the server's address, or 127.0.0.1 with a tunnel in between
     (on the server: callsign help another-host):
         CALLSIGN_AGI=agi://A.B.C.D:4591
         CALLSIGN_FALLBACK=no
  2. $call
  3. Place a call, then on the server: callsign jobs
TEXT
    *) cat <<TEXT ;;
  1. \$EDITOR $settings, then: callsign check$how
  2. $call
  3. Place a call, then: callsign jobs; $log
TEXT
  esac
}

keep_others_out() { # of a folder that two runs would mix
  [ -z "$dry_run" ] || return 0
  mkdir -p "$root$home"
  exec 9<"$root$home"
  ! command -v flock >/dev/null || flock -n 9 ||
    fail "another run of the installer is under way: wait for its end, and run this one again"
  alone=yes
}

system_install() {
  look_around
  steps='environment account settings store access code commands script service dialplan'
  case $half in
    server) steps='environment account settings store access code commands service' ;;
    dialplan) steps='code dialplan' ;;
  esac
  [ "$half" = dialplan ] || choose_python
  [ "$half" = dialplan ] || refuse_what_is_not_ours
  [ "$half" = server ] || refuse_what_would_hurt
  keep_others_out
  [ ! -e "$root$begun" ] || unended=yes restart='an earlier run was cut short'
  say "$change_words"
  for step in $steps; do "${step}_step"; done
  [ -n "$dry_run" ] || rm -f "$root$begun"
  [ "$changes" -gt 0 ] || say "  nothing, all is as it should be"
  if [ "$half" != dialplan ]; then
    try_step
    show_warnings
  fi
  [ "$half" = dialplan ] || note_sudo
  [ -z "$notes" ] || say "Note:$notes"
  [ -n "$root$dry_run" ] || next_steps
}

system_uninstall() {
  look_around
  [ "$half" = server ] || refuse_while_called
  if [ -z "$root" ] && ! has_systemd && is_running; then
    fail "the server runs still, and there is no systemd to end it: end it, and run the installer again."
  fi
  [ ! -d "$root$home" ] || keep_others_out
  say "$change_words"
  if [ "$half" != server ]; then
    [ ! -e "$root$dialplan_entry" ] || ! grep -qxE "$our_lines" "$root$dialplan_entry" ||
      change "line  $include_line  out of $dialplan_entry" rewrite_entry "sed -E '/^$our_lines\$/d' \"\$1\""
    remove "$etc/extensions_callsign.conf"
    reload_dialplan
  fi
  if [ -z "$root" ] && [ -e "$unit" ] && has_systemd; then
    change 'systemctl disable --now callsign' systemctl disable --quiet --now callsign
  fi
  remove "$unit"
  [ -n "$root$dry_run" ] || ! has_systemd || systemctl daemon-reload
  [ "$half" = server ] || remove "$agi_bin/callsign.agi"
  remove "$bin/callsign"
  remove "$bin/agi-debug"
  remove "$home"
  if [ -n "$purge" ]; then
    remove "$(dirname "$settings")"
    remove "$store"
    [ -n "$root" ] || ! getent passwd "$account" >/dev/null || change "user and group $account" remove_account
  fi
  [ "$changes" -gt 0 ] || say "  nothing, it is not installed"
  [ -n "$purge" ] || [ ! -e "$root$store" ] ||
    say "Kept: $(dirname "$settings") and $store, with the user $account.  From where you installed, ./install.sh --uninstall --purge
takes them too."
}

remove_account() {
  told=$(userdel "$account" 2>&1) || fail "the user $account cannot be removed: $told"
  ! getent group "$account" >/dev/null || groupdel "$account"
}

clean_up() { # also after a step that failed
  rm -rf "$work"
  [ -n "$alone" ] || return 0
  rm -rf "$root$home"/*.new
  [ -e "$root$begun" ] || rm -rf "$root$home"/[!a]*.old
  [ -z "$root" ] || rm -rf "$root$home/agi.old" # else plain scripts that run may still load from it
}

on_a_pbx() { # install|uninstall
  [ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "a PBX is root's: the same with sudo"
  umask 022
  cd / # Python looks for modules where it stands
  system_wide=yes
  work=$(mktemp -d)
  trap clean_up EXIT
  trap 'exit 1' HUP INT TERM # not every shell comes by the line above then
  "system_$1"
}

main() {
  what=install
  while [ $# -gt 0 ]; do
    case $1 in
      demo | --local | --uninstall)
        [ "$what" = install ] || usage_error "$1 does not go with $what"
        what=${1#--}
        ;;
      --server | --dialplan)
        [ -z "$half" ] || usage_error "$1 does not go with --$half: the whole is sudo ./install.sh"
        half=${1#--}
        ;;
      --dry-run) dry_run=yes change_words='Would change:' ;;
      --purge) purge=yes ;;
      --root | --wheels)
        case ${2:-} in '' | -*) usage_error "$1 wants a folder" ;; esac
        folder=$(readlink -m "$2")
        if [ "$1" = --root ]; then root=$folder; else wheels=$folder; fi
        shift
        ;;
      -h | --help)
        usage
        exit
        ;;
      *) usage_error "unknown: $1" ;;
    esac
    shift
  done
  [ -z "$wheels" ] || [ -d "$wheels" ] || usage_error "--wheels: there is no folder $wheels"
  [ -z "$purge" ] || [ "$what" = uninstall ] || usage_error "--purge goes with --uninstall"
  case $what in
    install | uninstall) on_a_pbx "$what" ;;
    *)
      [ -z "$dry_run$root$half" ] || usage_error "$what takes --wheels and nothing more"
      local_install
      [ "$what" = local ] || PYTHONPATH="$here/agi" exec "$venv/bin/python" -m callsign.commands.demo
      say "Ready: .venv/bin/callsign, .venv/bin/agi-debug and the plain script .venv/bin/callsign.agi"
      ;;
  esac
}

main "$@"
