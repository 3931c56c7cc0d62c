"""What each command of `callsign` does: settings in, something printed, the exit status out.

Imports come late: no command pays for another's.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from callsign.log_text import visible, visible_json
from callsign.outbox.owner import become_owner
from callsign.record import asdict
from callsign.settings.load import ConfigError, load, path_of
from callsign.settings.sections import Settings

if TYPE_CHECKING:
    import argparse

    from callsign.commands.check_online import Finding
    from callsign.outbox.edits import Edit

DONE, FAILED, MISUSED = 0, 1, 2
MOST_SHOWN = 100
"""Jobs, where a person sets no --limit; a program gets all."""


class UsageFault(Exception):
    """The command line or the settings cannot be used; the text says what to give."""


def _settings(options: argparse.Namespace, thorough: bool = False) -> tuple[Settings, list[str]]:
    return load(path_of(options.config), thorough)


def _settings_and_store(options: argparse.Namespace) -> Settings:
    settings, _ = _settings(options)
    become_owner(settings.outbox.path)
    return settings


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        print(visible(line))


def _print_json(value: object) -> None:
    print(visible_json(value))


def serve(options: argparse.Namespace) -> int:
    """The FastAGI server and the delivery, until SIGTERM."""
    gc.disable()  # until all is loaded: calls wait for the start
    from callsign.server.serve import serve

    return serve(path_of(options.config))


def check(options: argparse.Namespace) -> int:
    """Reads the settings, as root also as those who need them; with --online asks the vendors."""
    from callsign.commands import admin, freepbx, tried_as

    try:
        settings, warnings = _settings(options, thorough=True)
    except ConfigError as fault:
        if options.json:
            _print_json({"ok": False, "faults": fault.faults})
            return MISUSED
        raise
    found = admin.check(settings, [*warnings, *freepbx.warnings(settings)])
    others = tried_as.look_as_both(settings)
    found.warnings.extend(line for line in others["warnings"] if line not in found.warnings)
    if others["faults"]:
        if options.json:
            _print_json({"ok": False, "faults": others["faults"], "warnings": found.warnings})
        else:
            _print_lines([*others["faults"], *(f"warning: {line}" for line in found.warnings)])
        return MISUSED
    online = _ask_online(settings, found.systems) if options.online else []
    good = all(vendor.good for vendor in online)
    if options.json:
        asked = {"online": [asdict(vendor) for vendor in online]} if options.online else {}
        _print_json({"ok": good, **asdict(found), **asked})
        return DONE if good else FAILED
    print(f"{found.settings}: good; vendors: {', '.join(found.systems) or 'none'}")
    for line in found.warnings:
        print(f"warning: {line}")
    for vendor in online:
        print(vendor.line())
    return DONE if good else FAILED


def help(options: argparse.Namespace) -> int:
    """The text of a topic, or which there are."""
    from callsign.commands import topics

    if options.topic is None:
        for topic, title in topics.topics().items():
            print(f"{topic:<14} {title}")
        return DONE
    try:
        print(topics.text_of(options.topic), end="")
    except ValueError as fault:
        raise UsageFault(str(fault)) from None
    return DONE


def _ask_online(settings: Settings, systems: Sequence[str]) -> Sequence[Finding]:
    from callsign.commands.check_online import check_online

    return check_online(settings, systems)


def call(options: argparse.Namespace) -> int:
    """One handler, as a plain AGI script would run it."""
    from callsign.commands import call as shell_call
    from callsign.sandbox.asterisk.call import Call, unique_id

    settings = _settings_and_store(options)
    made_up = Call(
        options.callerid,
        options.calleridname,
        options.extension,
        options.dnid,
        uniqueid=options.uniqueid or unique_id(),
    )
    lines = made_up.environment("callsign.agi", (), network=False)
    env = {name: value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    request = shell_call.with_account(options.path, options.account)
    args = [*options.args, f"call={options.linkedid}"] if options.linkedid else options.args
    told = shell_call.call(request, args, env, settings)
    if options.json:
        _print_json(told)
    else:
        for name, value in told.items():
            print(f"{name}={value}")
    status = next(value for name, value in told.items() if name.endswith("STATUS"))
    return DONE if status in ("OK", "QUEUED", "SKIPPED") else FAILED


def _given(texts: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in given:
            raise UsageFault(f"{name} is given twice" if equals else f"{text}: wanted NAME=VALUE")
        given[name] = value
    return given


def sign(options: argparse.Namespace) -> int:
    """The text to sign and the signature."""
    from callsign.commands import admin

    given = _given(options.values)
    settings, _ = _settings(options)
    try:
        found = admin.sign(options.system, given, settings)
    except ValueError as fault:
        raise UsageFault(str(fault)) from None
    if options.json:
        _print_json({"text": found.text, "signature": found.signature, "values": found.values, "method": found.method})
        return DONE
    for name, value in found.values.items():
        print(f"{name:<12} {value}")
    print(f"{'text':<12} {found.text}\n{'method':<12} {found.method}\n{'signature':<12} {found.signature}")
    return DONE


def mor(options: argparse.Namespace) -> int:
    """One method of the MOR API."""
    from callsign.commands import mor as mor_command

    given = _given(options.values)
    settings, _ = _settings(options)
    try:
        return mor_command.run(settings, options.method, given, options.yes, options.json)
    except ValueError as fault:
        raise UsageFault(str(fault)) from None


def status(options: argparse.Namespace) -> int:
    """Whether it runs, and what the store holds."""
    from callsign.commands import status as inspection

    if options.check:
        return _nagios(options)
    settings = _settings_and_store(options)
    found = inspection.status(settings)
    if options.json:
        _print_json(found)
    else:
        _print_lines(inspection.status_lines(found))
    return DONE if found["running"] and not found["store_trouble"] else FAILED


def _nagios(options: argparse.Namespace) -> int:
    from callsign.commands import nagios

    try:
        settings = _settings_and_store(options)
    except ConfigError as fault:
        verdict = nagios.Verdict(nagios.UNKNOWN, str(fault))
    else:
        verdict = nagios.check(settings, options.warn_age, options.crit_age)
    print(verdict.line)
    return verdict.code


def jobs(options: argparse.Namespace) -> int:
    """The jobs that fit, or one with its life."""
    from callsign.commands import jobs as found_jobs

    settings = _settings_and_store(options)
    if options.limit is None and not options.json:
        options.limit = MOST_SHOWN
    try:
        wanted = found_jobs.wanted(options, settings.numbers.country)
    except ValueError as fault:
        raise UsageFault(str(fault)) from None
    rows = found_jobs.found(settings.outbox.path, wanted, options.show_numbers)
    if options.json:
        _print_json(rows)
    elif rows:
        _print_lines(found_jobs.lines(rows))
    return DONE if found_jobs.say_what_is_missing(rows, options) else FAILED


def retry(options: argparse.Namespace) -> int:
    """Failed jobs once more."""
    from callsign.outbox import edits as outbox_edits

    return _edit(options, outbox_edits.retry)


def drop(options: argparse.Namespace) -> int:
    """Gives waiting jobs up."""
    from callsign.outbox import edits as outbox_edits

    return _edit(options, outbox_edits.drop)


def _edit(options: argparse.Namespace, change: Callable[[Path, Sequence[int]], list[Edit]]) -> int:
    from callsign.commands import edit_jobs

    if words := edit_jobs.misuse(options):
        raise UsageFault(words)
    settings = _settings_and_store(options)
    store = settings.outbox.path
    try:
        edits = edit_jobs.edit(store, edit_jobs.wanted(options, store), change)
    except ValueError as fault:
        raise UsageFault(str(fault)) from None
    if options.json:
        _print_json([asdict(one) for one in edits])
    else:
        edit_jobs.say(edits, options.failed)
    return DONE if all(one.done for one in edits) else FAILED


def cdr(options: argparse.Namespace) -> int:
    """A KalliopePBX's call register for a period."""
    from callsign.commands import cdr as cdr_command

    settings, _ = _settings(options)
    wanted = (options.begin, options.end, options.style, options.format, options.output, options.url_form)
    try:
        return cdr_command.run(settings, *wanted)
    except ValueError as fault:
        raise UsageFault(str(fault)) from None


def sandbox(options: argparse.Namespace) -> int:
    """The stand-in vendors, until SIGTERM."""
    from callsign.sandbox.command import DEMO_ACCOUNTS, accounts_of, faults_of, run

    accounts = DEMO_ACCOUNTS
    if options.config:
        settings, _ = _settings(options)
        accounts = accounts_of(settings)
        if not accounts:
            raise UsageFault(f"{settings.source} has no account of a vendor that the sandbox plays")
    try:
        faults = faults_of(options.fault, accounts)
    except ValueError as fault:
        raise UsageFault(str(fault)) from None
    return run(options.port, accounts, options.json, faults, options.show_numbers)
