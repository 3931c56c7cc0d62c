"""`callsign jobs`, `retry --failed` and `drop --failed`: an administrator finds the jobs of a call."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from callsign import clocks
from callsign.notification import Notification, State
from callsign.outbox.outbox import Job, Outbox
from command_line import callsign_text
from settings_file import write
from store_play import LONG_SECONDS, call_from, eventually, recording

Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def run(tmp_path: Path, store: Path) -> Run:
    """Exit status, output and complaints of `callsign ARGUMENTS`."""
    settings = write(
        tmp_path, f'[server]\nlisten = "127.0.0.1:1"\n[outbox]\npath = "{store}"\n[numbers]\ncountry = "BE"\n'
    )

    def run_it(*arguments: str) -> tuple[int, str, str]:
        done = callsign_text(*arguments, "--config", str(settings))
        return done.returncode, done.stdout, done.stderr

    return run_it


def put(store: Path, *told: Notification, ended: dict[int, tuple[State, str]] | None = None) -> None:
    """These notifications as jobs 1, 2, …, of which some have ended."""
    outbox = Outbox(store)
    jobs: list[Job] = []
    outbox.listen(jobs.extend)
    for one in told:
        outbox.add(one, LONG_SECONDS)
    assert eventually(lambda: len(jobs) == len(told))
    for job in jobs:
        if job.id in (ended or {}):
            outbox.end(job, *(ended or {})[job.id])
    outbox.stop_listening(LONG_SECONDS)
    outbox.close()


def numbers_of(run: Run, *arguments: str) -> list[int]:
    status, output, complaints = run("jobs", "--json", *arguments)
    assert status == 0, complaints
    return [row["job"] for row in json.loads(output)]


def told_at(ago_seconds: float, caller: str, lifetime: float = 840.0) -> Notification:
    told = call_from(caller, lifetime=lifetime)
    facts = dict(told.facts)
    return Notification("skarabee", "skarabee", told.call, facts, clocks.wall() - ago_seconds, lifetime)


def test_jobs_come_below_a_header_line_in_columns(store: Path, run: Run) -> None:
    put(store, call_from(call="17.1"), recording("start", "pbx-17.22"), ended={1: (State.REFUSED, "HASH_MISMATCH")})
    status, output, complaints = run("jobs")
    head, noojee, skarabee = output.splitlines()
    assert (status, complaints) == (0, "")
    assert head.split() == ["JOB", "TIME", "STATE", "ACTION", "CALL", "TRIES", "REASON"]
    assert noojee[head.index("CALL") :].split()[0] == "pbx-17.22"
    assert skarabee[head.index("STATE") :].split()[:4] == ["refused", "skarabee", "17.1", "0"]
    assert skarabee[head.index("REASON") :] == "HASH_MISMATCH"
    assert noojee[head.index("REASON") :] == "not tried yet"


@pytest.mark.parametrize("number", ["0478123456", "+32478123456", "0032478123456", "0478/12.34.56", "478123456"])
def test_a_job_is_found_by_its_callers_number_in_any_notation(number: str, store: Path, run: Run) -> None:
    for_each = ["+32478123456", "0478 12 34 56", "+44478123456", "0478123457", "123456"]
    put(store, *(call_from(caller, call=f"17.{n}") for n, caller in enumerate(for_each)))
    assert set(numbers_of(run, "--number", number)) - {5} == {1, 2} | ({3} if number == "478123456" else set())


def test_a_job_is_found_by_the_called_number_and_by_an_extension(store: Path, run: Run) -> None:
    put(store, call_from("0478000001"), recording("start", "17.5", whose="201"), recording("start", "17.201"))
    assert numbers_of(run, "--number", "+32 56 52 89 98") == [1]
    assert numbers_of(run, "--number", "201") == [2]
    assert numbers_of(run, "--number", "01") == []


def test_numbers_are_shown_only_where_they_are_asked_for(store: Path, run: Run) -> None:
    put(store, call_from("0478123456"), recording("start", "17.5", whose="201"))
    for arguments in (["jobs"], ["jobs", "--number", "0478123456"], ["jobs", "1"], ["jobs", "--json"]):
        _, output, complaints = run(*arguments)
        assert "0478123456" not in output + complaints
        assert "056528998" not in output + complaints
    _, output, _ = run("jobs", "--show-numbers")
    assert re.search(r" 201$|0478123456 > 056528998", output)
    assert "0478123456 > 056528998" in output
    _, output, _ = run("jobs", "--show-numbers", "--json")
    told = [row["numbers"] for row in json.loads(output)]
    assert told == [{"extenOrUniqueId": "201"}, {"phonefrom": "0478123456", "phoneto": "056528998"}]


@pytest.mark.parametrize("facts", ["no JSON", "[1]", "[" * 100_000], ids=range(3))
def test_a_job_whose_facts_are_damaged_is_shown_without_numbers(facts: str, store: Path, run: Run) -> None:
    put(store, call_from("0478123456"))
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("UPDATE job SET facts = ?", (facts,))
    status, output, complaints = run("jobs", "--show-numbers", "--json")
    assert (status, complaints) == (0, "")
    assert [row["numbers"] for row in json.loads(output)] == [{}]


@pytest.mark.parametrize("column", ["facts", "call", "reason", "action", "system"])
def test_a_damaged_row_hides_no_other_and_shows_no_number(column: str, store: Path, run: Run) -> None:
    refused = (State.REFUSED, "HASH_MISMATCH")
    put(store, call_from("0475111111"), call_from("0475222222"), ended={1: refused, 2: refused})
    with closing(sqlite3.connect(store)) as db, db:
        db.execute(
            f"UPDATE ended SET {column} = CAST(CAST({column} AS BLOB) || x'ff' AS TEXT), at = 1e300 WHERE id = 1"
        )
    for words in (["jobs"], ["jobs", "1"], ["status"], ["retry", "--failed"], ["drop", "--failed"]):
        _, output, complaints = run(*words)
        assert "0475" not in output + complaints
        assert "cannot be" not in output + complaints
        assert "in callsign itself" not in output + complaints
    assert {1, 2} <= set(numbers_of(run))
    assert 2 in numbers_of(run, "--number", "0475 22 22 22")


def test_jobs_of_a_time_are_found(store: Path, run: Run) -> None:
    put(store, told_at(7300, "0478000001"), told_at(3700, "0478000002"), told_at(60, "0478000003"))
    assert numbers_of(run, "--since", "2h") == [3, 2]
    assert numbers_of(run, "--until", "1h") == [2, 1]
    assert numbers_of(run, "--since", "2h", "--until", "1h") == [2]
    assert numbers_of(run, "--until", "2020-01-01") == []
    assert numbers_of(run, "--since", "2020-01-01") == [3, 2, 1]


def test_a_time_of_day_behind_that_of_since_is_the_one_after_it(store: Path, run: Run) -> None:
    put(store, told_at(60, "0478000001"))
    before, behind = (time.strftime("%H:%M:%S", time.localtime(clocks.wall() + seconds)) for seconds in (-3600, 3600))
    assert numbers_of(run, "--since", before, "--until", behind) == [1]


def test_no_more_than_the_limit_is_shown_and_that_is_said(store: Path, run: Run) -> None:
    put(store, *(call_from(f"04780000{n:02}") for n in range(4)))
    status, output, complaints = run("jobs", "--limit", "2")
    assert [line.split()[0] for line in output.splitlines()] == ["JOB", "4", "3"]
    assert (status, complaints) == (0, "(the newest 2; --limit N shows more)\n")
    assert numbers_of(run, "--limit", "3") == [4, 3, 2]
    assert numbers_of(run) == [4, 3, 2, 1]


def test_where_no_job_matches_that_is_said_beside_an_empty_output(store: Path, run: Run) -> None:
    put(store, call_from())
    assert run("jobs", "--number", "0470999999") == (0, "", "no job matches\n")
    status, output, complaints = run("jobs", "--call", "nobody", "--json")
    assert (status, json.loads(output), complaints) == (0, [], "no job matches\n")


def test_a_job_that_is_there_but_does_not_match_is_not_said_to_be_none(store: Path, run: Run) -> None:
    put(store, call_from())
    assert run("jobs", "2") == (1, "", "callsign jobs: there is no job 2\n")
    assert run("jobs", "1", "--state", "failed") == (1, "", "callsign jobs: there is no job 1 that matches\n")


def test_a_job_that_is_named_twice_is_retried_or_dropped_once(store: Path, run: Run) -> None:
    put(store, call_from("0478000001"), call_from("0478000002"), ended={1: (State.REFUSED, "HASH_MISMATCH")})
    assert run("retry", "1", "1") == (0, "job 1: goes out once more as job 3\n", "")
    assert run("drop", "2", "2")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["jobs", "--since", "soon"], "wanted a time"),
        (["jobs", "--until", "25:00"], "wanted a time"),
        (["jobs", "--number", ""], "--number"),
        (["jobs", "--limit", "0"], "wanted 1 to"),
        (["retry"], "--failed"),
        (["retry", "1", "--failed"], "--failed"),
        (["drop", "1", "--since", "2h"], "go with --failed"),
        (["drop", "--failed", "--since", "soon"], "wanted a time"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(arguments: list[str], words: str, store: Path, run: Run) -> None:
    put(store, call_from())
    status, output, complaints = run(*arguments)
    assert (status, output) == (2, "")
    assert words in complaints


def test_a_retried_job_is_shown_with_the_time_of_its_retry(store: Path, run: Run) -> None:
    put(store, told_at(600, "0478000001"), ended={1: (State.REFUSED, "HASH_MISMATCH")})
    assert run("retry", "1")[0] == 0
    again, first = json.loads(run("jobs", "--json")[1])
    assert (again["job"], first["state"]) == (2, "retried")
    assert again["at"] - first["at"] >= 600
    assert abs(again["deadline"] - first["at"] - 840) < 1  # but its use is over when that of the first is
    assert numbers_of(run, "--since", "5m") == [2]
    (life,) = json.loads(run("jobs", "2", "--json")[1])
    assert life["life"][0]["event"] == "retry"


def test_all_that_failed_goes_out_once_more_or_is_given_up(store: Path, run: Run) -> None:
    told = [told_at(7200, "0478000001", 9e4), told_at(60, "0478000002"), recording("start", "17.5"), call_from()]
    refused = (State.REFUSED, "HASH_MISMATCH")
    put(store, *told, ended={1: refused, 2: refused, 3: (State.EXPIRED, "too late"), 4: (State.DELIVERED, "")})
    status, output, _ = run("retry", "--failed", "--system", "skarabee", "--since", "1h")
    assert (status, output) == (0, "job 2: goes out once more as job 5\n")
    assert [line[:5] for line in run("retry", "--failed")[1].splitlines()] == ["job 1", "job 3"]  # in their order
    assert run("retry", "--failed") == (0, "", "no failed job matches\n")


def test_all_that_failed_is_given_up_at_once(store: Path, run: Run) -> None:
    expired = (State.EXPIRED, "too late")
    put(store, call_from("0478000001"), recording("start", "17.5"), ended={1: expired, 2: expired})
    assert run("drop", "--failed", "--system", "noojee")[1] == "job 2: given up: it was expired\n"
    status, output, _ = run("drop", "--failed", "--json")
    assert (status, [one["job"] for one in json.loads(output)]) == (0, [1])
    assert numbers_of(run, "--state", "failed") == []


def test_what_failed_and_is_over_stays_and_is_named_up_to_a_count(store: Path, run: Run) -> None:
    over = [told_at(60, f"04780001{n:02}", 1.0) for n in range(23)]
    put(store, *over, ended={n + 1: (State.EXPIRED, "too late") for n in range(23)})
    status, output, complaints = run("retry", "--failed")
    assert (status, output) == (1, "")
    assert complaints.count("its time was over at") == 20
    assert complaints.endswith("and 3 more stay as they are\n")
    assert time.strftime("%Y-") in complaints
