"""The settings of a test's Asterisk: few modules, no channel drivers, quiet where nothing is wrong."""

from __future__ import annotations

import re
from pathlib import Path

MODULES = """
    app_cdr app_db app_dial app_directed_pickup app_exec app_mixmonitor app_playback app_queue app_read app_senddtmf
    app_stack app_userevent app_verbose bridge_builtin_features bridge_holding bridge_simple codec_gsm codec_ulaw
    format_gsm format_pcm format_wav func_base64 func_callerid func_cdr func_channel func_cut func_db
    func_dialplan func_env func_global func_groupcount func_hangupcause func_logic func_math func_sprintf
    func_strings func_timeout func_uri func_uuid pbx_config res_agi res_speech res_timing_timerfd
"""

# Without them Asterisk warns at start.
QUIET = {
    **dict.fromkeys(["ccss", "cdr", "cel", "cli_permissions", "features", "queues", "stasis", "udptl"], "[general]\n"),
    "acl": "",
    "indications": "[general]\ncountry = be\n[be]\ndescription = Belgium\nringcadence = 1000,3000\n"
    "dial = 425\nbusy = 425/500,0/500\nring = 425/1000,0/3000\ncongestion = 425/167,0/167\n",
}


def directories(root: Path) -> dict[str, str]:
    """What the root's own asterisk.conf says: the folders differ between versions."""
    text = (root / "etc/asterisk/asterisk.conf").read_text(errors="replace")
    return dict(re.findall(r"^(ast\w+)\s*=>?\s*(\S+)", text, re.MULTILINE))


def settings(root: Path, folder: str, port: int, secret: str) -> dict[str, str]:
    """Name -> text of each file in the run's `etc`. `folder` is the run's folder as the chroot sees it.

    A test's own options.conf holds further lines of asterisk.conf's [options].
    """
    own = directories(root)
    modules = root / own["astmoddir"].lstrip("/")
    there = [name for name in MODULES.split() if (modules / f"{name}.so").exists()]
    return {
        **{f"{name}.conf": text for name, text in QUIET.items()},
        "asterisk.conf": f"""
[directories]
astetcdir => {folder}/etc
astmoddir => {own["astmoddir"]}
astvarlibdir => {folder}/varlib
astdbdir => {folder}/varlib
astkeydir => {folder}/varlib
astcachedir => {folder}/varlib
astdatadir => {own["astdatadir"]}
astagidir => {folder}/agi-bin
astspooldir => {folder}/spool
astrundir => {folder}/run
astlogdir => {folder}/log
astsbindir => /usr/sbin
[options]
verbose = 0
debug = 0
nocolor = yes
#tryinclude {folder}/etc/options.conf
""",
        "modules.conf": "[modules]\nautoload=no\n" + "".join(f"load = {name}.so\n" for name in there),
        "logger.conf": """
[general]
logger_queue_limit = 100000
[logfiles]
full => notice,warning,error,verbose
""",
        "manager.conf": f"""
[general]
enabled = yes
bindaddr = 127.0.0.1
port = {port}
[harness]
secret = {secret}
read = all
write = all
writetimeout = 10000
""",
        "extensions.conf": '#include "harness.conf"\n#include "test.d/*.conf"\n',
    }
