"""Questions count: what `status`, its --check and the metrics tell of MOR, KalliopePBX and SRAPS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.command import DEMO_ACCOUNTS, settings_for
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from command_line import callsign_text as run
from product import Product
from waiting import wait_until

MAC = "00:04:13:AA:BB:CC"
CALLER = "056528999"
ACCOUNTS = DEMO_ACCOUNTS


@pytest.fixture
def server(tmp_path: Path, box: Sandbox) -> Iterator[Product]:
    with Product(tmp_path, settings_for(box), metrics="127.0.0.1:0") as running:
        running.run_with(settings_for(box))
        yield running


def ask(server: Product, path: str, *arguments: str) -> str:
    told = run_fastagi(f"{server.url}/{path}", Call(callerid=CALLER), arguments).variables
    return next(value for name, value in told.items() if name.endswith("STATUS"))


def asked_of(server: Product, system: str) -> dict[str, object]:
    found = json.loads(run("status", "--json", "--config", str(server.settings)).stdout)
    asked: dict[str, object] = found["systems"][system]["questions"]
    return asked


def test_status_tells_the_last_answer_the_last_trouble_and_how_many_of_the_last_hour(
    server: Product, box: Sandbox
) -> None:
    assert ask(server, "mor/balance", "demo") == "OK"
    box.trouble["mor"] = Trouble(http_status=503)
    assert ask(server, "mor/balance", "demo") == "UNREACHABLE"
    box.trouble["mor"] = Trouble(refuse_status="Feature disabled")
    assert ask(server, "mor/balance", "demo") == "REFUSED"
    wait_until(lambda: asked_of(server, "mor")["last_hour"] == 3)  # they are counted behind the call
    assert ask(server, "mor/balance") == "ERROR"  # no username: nobody was asked, and the dialplan has no answer
    wait_until(lambda: asked_of(server, "mor")["last_hour"] == 4)
    asked = asked_of(server, "mor")
    assert asked["by_status_last_hour"] == {"OK": 1, "UNREACHABLE": 1, "REFUSED": 1, "ERROR": 1}
    assert (asked["unanswered_last_hour"], asked["errors_last_hour"]) == (2, 1)
    assert asked_of(server, "sraps")["last_hour"] == 0
    shown = run("status", "--config", str(server.settings)).stdout
    assert re.search(r"mor:\n    questions of the last hour: OK 1, ERROR 1, REFUSED 1, UNREACHABLE 1\n", shown)
    last = r"    last answer 20\S+ \S+ mor/balance\n    last trouble 20\S+ \S+ mor/balance REFUSED .*\n"
    last += r"    last error 20\S+ \S+ mor/balance ERROR .*username"
    assert re.search(last, shown)
    assert CALLER not in shown


def test_a_vendor_that_gives_no_answer_is_a_warning_for_nagios_until_it_answers(server: Product, box: Sandbox) -> None:
    check = ("status", "--check", "--config", str(server.settings))
    box.trouble["sraps"] = Trouble(http_status=503)
    assert ask(server, "sraps/endpoint", MAC) == "UNREACHABLE"
    wait_until(lambda: asked_of(server, "sraps")["last_hour"] == 1)
    told = run(*check)
    assert told.returncode == 1
    assert "sraps: 1 of 1 questions in the last hour had no answer, last: UNREACHABLE" in told.stdout
    assert "503" in told.stdout
    del box.trouble["sraps"]
    for _ in range(10):
        assert ask(server, "sraps/endpoint", MAC) == "OK"
    wait_until(lambda: asked_of(server, "sraps")["last_hour"] == 11)
    assert run(*check).returncode == 0


def test_what_our_side_could_not_ask_is_a_warning_that_does_not_accuse_the_vendor(server: Product) -> None:
    assert ask(server, "mor/balance") == "ERROR"
    wait_until(lambda: asked_of(server, "mor")["last_hour"] == 1)
    told = run("status", "--check", "--config", str(server.settings))
    assert told.returncode == 1
    assert "mor: 1 of 1 questions in the last hour could not be asked, last: ERROR argument username" in told.stdout
    assert "no answer" not in told.stdout
    assert "'unanswered'=0;;;0 'errors'=1;;;0" in told.stdout


def test_what_the_plain_script_asks_counts_too(server: Product) -> None:
    assert server.stop() == 0
    assert run("call", "mor/balance", "demo", "--linkedid", "17.5", "--config", str(server.settings)).returncode == 0
    assert asked_of(server, "mor")["by_status_last_hour"] == {"OK": 1}


def test_a_question_that_is_skipped_was_not_asked(server: Product) -> None:
    told = run_fastagi(f"{server.url}/mor/caller", Call(callerid="anonymous")).variables
    assert told["MORSTATUS"] == "SKIPPED"
    assert ask(server, "mor/balance", "demo") == "OK"
    wait_until(lambda: asked_of(server, "mor")["last_hour"] == 1)


def test_questions_are_seen_in_the_vendors_seconds(server: Product, box: Sandbox) -> None:
    url = server.wait_log(lambda line: "metrics at" in line).rpartition(" ")[2]

    def count(system: str, outcome: str) -> float:
        with urlopen(url) as page:
            text = page.read().decode()
        found = re.findall(r"^callsign_vendor_seconds_count\{(.*)\} (\S+)$", text, re.MULTILINE)
        return sum(float(n) for labels, n in found if f'"{system}"' in labels and f'outcome="{outcome}"' in labels)

    assert [count("mor", outcome) for outcome in ("answered", "unreachable", "refused", "error")] == [0.0] * 4
    assert ask(server, "mor/balance", "demo") == "OK"
    box.trouble["mor"] = Trouble(http_status=503)
    assert ask(server, "mor/balance", "demo") == "UNREACHABLE"
    box.trouble["sraps"] = Trouble(refuse_status="forbidden")
    assert ask(server, "sraps/endpoint", MAC) == "REFUSED"
    wait_until(lambda: count("sraps", "refused") == 1)
    assert (count("mor", "answered"), count("mor", "unreachable")) == (1, 1)
