"""The verdict that a monitoring gets: what is OK, what is WARNING or CRITICAL, and the line that says so."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from callsign.commands import nagios
from callsign.commands.main import main
from callsign.commands.nagios import CRITICAL, OK, UNKNOWN, WARNING, Verdict, check, judge
from callsign.outbox.outbox import Outbox
from callsign.settings.sections import OutboxSection, Server, Settings

NOBODY = 65534  # a user to whom no file belongs
FIGURES = re.compile(r"('[^'=]+'=-?[0-9.]+[a-z%]*;[0-9.]*;[0-9.]*;[0-9.]*;?( |$))+")
"""'label'=value[UOM];[warn];[crit];[min];[max], as the guidelines give it."""


def asked(answered: int = 0, unanswered: int = 0, last_is_good: bool = False, errors: int = 0) -> dict[str, Any]:
    last = {"action": "mor/balance", "reason": "HTTP 503", "status": "UNREACHABLE", "at": 2.0}
    return {
        "last_hour": answered + unanswered + errors,
        "unanswered_last_hour": unanswered,
        "errors_last_hour": errors,
        "last_answer": {**last, "at": 3.0 if last_is_good else 1.0} if answered else None,
        "last_trouble": last if unanswered else None,
        "last_error": {**last, "status": "ERROR", "reason": "no username"} if errors else None,
    }


def entry(
    waiting: int = 0,
    age: float | None = None,
    failed: int = 0,
    trouble: str = "",
    questions: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "waiting": waiting,
        "delivered": 3,
        "oldest_waiting_seconds": age,
        "failed_last_hour": failed,
        "last_trouble": {"at": 0.0, "job": 1, "reason": trouble} if trouble else None,
        "questions": questions or asked(),
    }


def found(running: bool = True, **systems: dict[str, Any]) -> dict[str, Any]:
    server = {"running": running, "address": "127.0.0.1:4591", "version": "1.0.0" if running else "", "trouble": ""}
    server |= {"store_trouble": "", "settings": "callsign.toml", "settings_faults": [], "settings_differ": False}
    return {**server, "waiting": sum(e["waiting"] for e in systems.values()), "systems": systems}


def verdict(**systems: dict[str, Any]) -> Verdict:
    return judge(found(**systems), 60, 300)


def test_a_running_server_with_nothing_old_and_nothing_failed_is_ok() -> None:
    told = verdict(skarabee=entry(3, 12.4), noojee=entry())
    assert (told.code, told.line) == (
        OK,
        "CALLSIGN OK - version 1.0.0, 3 waiting, none failed in the last hour"
        "|'waiting'=3;;;0 'oldest'=12s;60;300;0 'failed'=0;0;;0 'unanswered'=0;;;0 'errors'=0;;;0",
    )


def test_a_server_without_any_system_is_ok() -> None:
    assert verdict().code == OK


@pytest.mark.parametrize(
    ("age", "code"), [(60.0, OK), (60.1, WARNING), (300.0, WARNING), (300.1, CRITICAL), (1e6, CRITICAL)]
)
def test_a_threshold_is_the_last_age_that_is_still_good(age: float, code: int) -> None:
    assert verdict(skarabee=entry(1, age)).code == code


def test_what_is_old_is_named_with_the_vendors_words() -> None:
    line = verdict(skarabee=entry(2, 75.0, trouble="HTTP 503"), noojee=entry()).line
    assert line.startswith("CALLSIGN WARNING - skarabee: the oldest of 2 waiting jobs is 75 s old, last: HTTP 503|")
    assert "noojee" not in line


def test_failed_jobs_in_the_last_hour_are_a_warning() -> None:
    told = verdict(skarabee=entry(), noojee=entry(failed=2, trouble="HASH_MISMATCH"))
    assert told.code == WARNING
    assert "noojee: 2 failed in the last hour, last: HASH_MISMATCH" in told.words
    assert "'failed'=2;0;;0" in told.figures


@pytest.mark.parametrize(
    ("questions", "code"),
    [
        (asked(0, 1), WARNING),
        (asked(100, 1), WARNING),  # the last one had no answer
        (asked(100, 1, last_is_good=True), OK),
        (asked(90, 10, last_is_good=True), WARNING),
        (asked(100), OK),
    ],
)
def test_questions_without_an_answer_are_a_warning_unless_they_are_few_and_over(
    questions: dict[str, Any], code: int
) -> None:
    told = verdict(skarabee=entry(), mor=entry(questions=questions))
    failed, total = questions["unanswered_last_hour"], questions["last_hour"]
    assert told.code == code
    assert f"'unanswered'={failed};;;0" in told.figures
    if code == WARNING:
        words = f"{failed} of {total} questions in the last hour had no answer"
        assert told.words == f"mor: {words}, last: UNREACHABLE HTTP 503"


@pytest.mark.parametrize(
    ("questions", "code"),
    [(asked(errors=1), WARNING), (asked(100, last_is_good=True, errors=1), OK), (asked(9, 0, True, 1), WARNING)],
)
def test_questions_that_could_not_be_asked_are_a_warning_of_their_own(questions: dict[str, Any], code: int) -> None:
    told = verdict(mor=entry(questions=questions))
    assert told.code == code
    assert "'unanswered'=0;;;0 'errors'=1;;;0" in told.figures
    words = f"mor: 1 of {questions['last_hour']} questions in the last hour could not be asked, last: ERROR no username"
    assert told.words == words or code == OK


def test_settings_that_do_not_run_or_cannot_be_used_are_a_warning() -> None:
    told = judge({**found(), "settings_differ": True}, 60, 300)
    assert told.code == WARNING
    assert told.words.startswith("the settings in callsign.toml are not those that it runs with: systemctl reload")
    told = judge({**found(), "settings_faults": ["[nojee]: unknown", "[mor] key: missing"]}, 60, 300)
    assert told.code == WARNING
    on = "the settings cannot be used; the server goes on with those that it has read"
    assert told.words == f"{on}: [nojee]: unknown [mor] key: missing"


def test_a_server_that_does_not_run_is_critical_and_still_has_its_figures() -> None:
    told = judge({**found(running=False, skarabee=entry(4, 10.0)), "trouble": "refused"}, 60, 300)
    assert told.code == CRITICAL
    assert told.words == "the server at 127.0.0.1:4591 does not run: refused"
    assert "'waiting'=4;" in told.figures


def test_the_worst_decides_and_comes_first() -> None:
    told = verdict(skarabee=entry(1, 70.0, failed=1), noojee=entry(1, 400.0))
    assert told.code == CRITICAL
    assert told.words.startswith("noojee: ")
    assert told.words.count(";") == 2


def test_the_figures_have_the_form_that_nagios_reads() -> None:
    for told in (verdict(), verdict(skarabee=entry(3, 12.4)), judge(found(noojee=entry(1, 2.0)), 0.5, 90.25)):
        assert FIGURES.fullmatch(told.figures), told.figures


@pytest.mark.parametrize("words", ["a|b=1", "two\nlines", "\x1b[31m", "x" * 5000, "|" * 600])
def test_whatever_a_vendor_says_it_stays_one_line_with_one_bar(words: str) -> None:
    line = verdict(skarabee=entry(1, 75.0, trouble=words)).line
    assert (line.count("|"), len(line.splitlines()), line.isprintable()) == (1, 1, True)
    assert len(line) < 700


def test_without_figures_there_is_no_bar() -> None:
    assert Verdict(UNKNOWN, "nothing is known").line == "CALLSIGN UNKNOWN - nothing is known"


def test_a_warning_age_above_the_critical_one_is_unknown() -> None:
    told = check(Settings(), 300, 60)
    assert (told.code, told.words) == (UNKNOWN, "--warn-age 300 is above --crit-age 60")


def test_a_server_that_cannot_make_its_store_is_critical() -> None:
    verdict = judge({**found(), "store_trouble": "the store /x/outbox.db is not there"}, 60, 300)
    assert (verdict.code, "/x/outbox.db" in verdict.line) == (CRITICAL, True)


def test_a_fault_of_callsigns_own_is_unknown_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "callsign.toml"
    settings.write_text(f'[outbox]\npath = "{tmp_path}/outbox.db"\n')
    monkeypatch.setattr(nagios, "judge", lambda *_: [][1])
    assert main(["status", "--check", "--config", str(settings)]) == UNKNOWN
    said = capsys.readouterr().out
    assert said.startswith("CALLSIGN UNKNOWN - a fault in callsign itself: IndexError at commands/test_nagios.py:")


def test_a_store_that_this_user_may_not_look_for_is_not_taken_for_one_without_jobs(tmp_path: Path) -> None:
    folder = tmp_path / "shut"
    folder.mkdir()
    Outbox(folder / "outbox.db").close()
    settings = Settings(Server(("127.0.0.1", 1)), OutboxSection(folder / "outbox.db"))
    assert "may not look" not in check(settings, 60, 300).words
    folder.chmod(0)
    try:
        if os.getuid() == 0:
            os.seteuid(NOBODY)
        assert f"this user may not look into {folder}" in check(settings, 60, 300).words
    finally:
        os.seteuid(os.getuid())
        folder.chmod(0o700)
