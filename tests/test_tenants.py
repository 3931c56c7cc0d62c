"""Several accounts in one server, from the settings' folder to the vendors: tenants who share nothing."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from callsign.outbox import schema
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.command import DEMO_ACCOUNTS
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import VENDORS, Sandbox
from command_line import callsign_text as run
from product import ACCOUNTS, Product, vendor_sections
from settings_file import write
from waiting import wait_until

ANTWERP = {
    "skarabee": {"9001": "k"},
    "noojee": {"key": "antwerp-key", "auth": "hash"},
    "mor": {"user": "demo", "key": "antwerp-mor"},
}
CALL = Call(callerid="056528999", extension="056528998", uniqueid="1700000000.5")


def antwerp(box: Sandbox) -> str:
    return f"""
[noojee.antwerp]
url = "{box.url("noojee")}"
key = "antwerp-key"
[mor.antwerp]
url = "{box.url("mor")}"
user = "demo"
key = "antwerp-mor"
"""


OFFICE = '[[skarabee.office]]\nbusinessid = "9001"\nkey = "k"\nname = "antwerp"\nnumbers = ["031112233"]\n'


class Tenants:
    """A server with one account, and a folder that is empty yet; each has a recorder of its own."""

    def __init__(self, folder: Path, main: Sandbox, other: Sandbox) -> None:
        self.main, self.other = main, other
        (folder / "callsign.d").mkdir()
        self.files = folder / "callsign.d"
        self.product = Product(folder, vendor_sections(main), metrics="127.0.0.1:0")
        self.config = ("--config", str(self.product.settings))

    def put(self, name: str, text: str) -> Path:
        return write(self.files, text, name)

    def reload(self, wanted: str) -> str:
        seen = len(self.product.log)
        self.product.process.send_signal(signal.SIGHUP)
        return self.product.wait_log(lambda line: wanted in line and line in self.product.log[seen:])

    def call(self, request: str, *args: str) -> dict[str, str]:
        session = run_fastagi(f"{self.product.url}/{request}", CALL, args)
        assert session.status == "SUCCESS"
        return session.variables

    def page(self) -> str:
        line = self.product.wait_log(lambda line: "metrics at" in line)
        with urlopen(line.rpartition(" ")[2]) as answer:
            text: str = answer.read().decode()
        return text


@pytest.fixture
def tenants(tmp_path: Path) -> Iterator[Tenants]:
    with Sandbox(accounts=ACCOUNTS) as main, Sandbox(accounts=ANTWERP) as other:
        made = Tenants(tmp_path, main, other)
        with made.product:
            yield made


@pytest.fixture
def both(tenants: Tenants) -> Tenants:
    tenants.put("antwerp.toml", antwerp(tenants.other) + OFFICE)
    tenants.reload("the settings were read again")
    return tenants


def test_an_account_from_the_folder_is_there_after_a_reload(tenants: Tenants) -> None:
    told = tenants.call("noojee/start?wait=10&account=antwerp")
    assert told["NOOJEESTATUS"] == "ERROR"
    assert told["NOOJEEREASON"] == "account antwerp: the settings have no section [noojee.antwerp], there is none"
    tenants.put("antwerp.toml", antwerp(tenants.other))
    tenants.reload("the settings were read again")
    assert tenants.call("noojee/start?wait=10&account=antwerp")["NOOJEESTATUS"] == "OK"
    assert [seen.verdict for seen in tenants.other.seen][-1] == "OK"
    assert not tenants.main.seen
    assert tenants.call("mor/balance?account=antwerp", "demo")["MORSTATUS"] == "OK"
    assert tenants.call("mor/balance", "demo")["MORREASON"].startswith("[mor] itself is no account")


def test_the_register_of_an_account_is_read_from_the_reload_on(tenants: Tenants) -> None:
    with Sandbox(accounts={"kalliope": DEMO_ACCOUNTS["kalliope"]}) as pbx:
        url = f'url = "{pbx.url("kalliope")}"'
        tenants.put("pbx.toml", f"[kalliope.antwerp]\n{url}\n{VENDORS['kalliope'].demo_settings}")
        tenants.reload("the settings were read again")
        assert pbx.wait_for(lambda seen: any("/cdr/" in one.path for one in seen), 30), pbx.seen


def test_a_faulty_file_of_the_folder_changes_nothing_and_is_named(both: Tenants) -> None:
    path = both.put("gent.toml", "[noojee.gent]\nkei = 1\n")
    assert both.reload("the settings stay as they were")
    assert any(f"{path}: [noojee.gent] kei: unknown key" in line for line in both.product.log)
    assert both.call("noojee/start?wait=10&account=antwerp")["NOOJEESTATUS"] == "OK"


def test_a_dead_recorder_of_one_tenant_holds_up_no_other(both: Tenants) -> None:
    both.other.trouble["noojee"] = Trouble(http_status=503)
    assert both.call("noojee/start?wait=1&account=antwerp")["NOOJEESTATUS"] == "QUEUED"
    for _ in range(3):
        assert both.call("noojee/start?wait=10")["NOOJEESTATUS"] == "OK"


def test_an_office_with_a_name_is_told_as_its_account(both: Tenants) -> None:
    both.product.write_settings(vendor_sections(both.main), metrics="127.0.0.1:0")
    told = both.call("skarabee?wait=10&account=antwerp")
    assert told["SKARABEESTATUS"] == "REFUSED"  # the main sandbox has no such office, and says so
    (job,) = json.loads(run("jobs", "--json", *both.config).stdout)
    assert (job["system"], job["account"]) == ("skarabee", "antwerp")


def test_status_jobs_and_metrics_tell_the_accounts_apart(both: Tenants) -> None:
    assert both.call("noojee/start?wait=10")["NOOJEESTATUS"] == "OK"
    both.other.trouble["noojee"] = Trouble(refuse_status="No such call")
    assert both.call("noojee/start?wait=10&account=antwerp")["NOOJEESTATUS"] == "REFUSED"
    wait_until(lambda: len(json.loads(run("jobs", "--json", *both.config).stdout)) == 2)

    systems = json.loads(run("status", "--json", *both.config).stdout)["systems"]
    assert list(systems) == ["skarabee", "skarabee.antwerp", "noojee", "noojee.antwerp", "mor.antwerp"]
    assert (systems["noojee"]["delivered"], systems["noojee"]["failed"]) == (1, 0)
    assert (systems["noojee.antwerp"]["delivered"], systems["noojee.antwerp"]["failed"]) == (0, 1)
    assert "No such call" in systems["noojee.antwerp"]["last_trouble"]["reason"]
    lines = run("status", *both.config).stdout.splitlines()
    assert any(line.startswith("noojee.antwerp: waiting 0, delivered 0, failed 1") for line in lines)
    assert "noojee.antwerp: 1 failed" in run("status", "--check", *both.config).stdout

    rows = json.loads(run("jobs", "--json", "--system", "noojee", *both.config).stdout)
    assert [(row["system"], row["account"]) for row in rows] == [("noojee", "antwerp"), ("noojee", "")]
    (row,) = json.loads(run("jobs", "--json", "--system", "noojee.antwerp", *both.config).stdout)
    assert row["account"] == "antwerp"
    head, *shown = run("jobs", *both.config).stdout.splitlines()
    assert head.split()[4] == "ACCOUNT"
    assert [line.split()[5] for line in shown] == ["antwerp", "-"]  # the time is two words
    assert run("jobs", "--system", "nooje", *both.config).returncode == 2

    page = both.page()
    assert 'callsign_jobs_ended_total{account="antwerp",state="refused",system="noojee"} 1.0' in page
    assert 'callsign_jobs_ended_total{state="delivered",system="noojee"} 1.0' in page
    assert 'callsign_jobs{account="antwerp",state="refused",system="noojee"} 1.0' in page
    assert 'account=""' not in page
    both.product.wait_log(lambda line: "path=noojee/start account=antwerp job=" in line)
    both.product.wait_log(lambda line: "system=noojee.antwerp action=noojee/start" in line)


def test_jobs_of_an_account_that_disappears_wait_and_the_log_says_so(both: Tenants) -> None:
    both.other.trouble["noojee"] = Trouble(http_status=503)
    assert both.call("noojee/start?wait=0&account=antwerp")["NOOJEESTATUS"] == "QUEUED"
    path = both.files / "antwerp.toml"
    text = path.read_text(encoding="utf-8")
    path.unlink()
    words = both.reload("whose jobs wait")
    assert "the settings have no section [noojee.antwerp], whose jobs wait" in words
    systems = json.loads(run("status", "--json", *both.config).stdout)["systems"]
    assert systems["noojee.antwerp"]["waiting"] == 1
    del both.other.trouble["noojee"]
    both.put("antwerp.toml", text)
    both.reload("the settings were read again")
    wait_until(lambda: json.loads(run("jobs", "--json", *both.config).stdout)[0]["state"] == "delivered")


def test_jobs_that_an_older_store_holds_are_the_sections_own_and_go_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db:
        db.executescript(schema.STEPS[0] + "PRAGMA user_version = 1;")
        facts = json.dumps({"businessid": "8103", "phoneto": "056528998", "phonefrom": "056528999"})
        values = ("skarabee", "skarabee", "1.1", facts, 4e9, 600.0, "boot", 1e9)
        db.execute(schema.INSERT_JOB, values)
        db.commit()
    with Sandbox(accounts=ACCOUNTS) as box, Product(tmp_path, vendor_sections(box)) as product:
        wait_until(lambda: bool(box.seen))
        config = ("--config", str(product.settings))
        wait_until(lambda: json.loads(run("jobs", "--json", *config).stdout)[0]["attempts"] == 1)
        (row,) = json.loads(run("jobs", "--json", *config).stdout)
        assert (row["system"], row["account"]) == ("skarabee", "")


# -- the commands ---------------------------------------------------------------------------------------------------


def test_check_lists_the_files_and_the_accounts_and_asks_each_vendor(both: Tenants) -> None:
    told = json.loads(run("check", "--json", "--online", *both.config).stdout)
    assert told["folder"] == [str(both.files / "antwerp.toml")]
    assert told["accounts"] == ["skarabee", "skarabee.antwerp", "noojee", "noojee.antwerp", "mor.antwerp"]
    found = {(one["system"], one["account"]): one["reachable"] for one in told["online"]}
    assert found == {
        ("skarabee", ""): True,
        ("skarabee", "antwerp"): True,
        ("noojee", ""): True,
        ("noojee", "antwerp"): True,
        ("mor", "antwerp"): True,
    }
    shown = run("check", "--online", *both.config).stdout
    assert f"{both.files / 'antwerp.toml'}: read with it" in shown
    assert "further accounts: skarabee.antwerp, noojee.antwerp, mor.antwerp" in shown
    assert "noojee.antwerp: answers at" in shown


def test_sign_call_and_api_take_an_account(both: Tenants) -> None:
    office = run("sign", "skarabee", "phoneto=1", "phonefrom=2", "--account", "antwerp", "--json", *both.config)
    assert json.loads(office.stdout)["values"]["businessid"] == "9001"
    stamp = ("sign", "noojee", "timestamp=1392356108888", "--json")
    main, further = (run(*stamp, *more, *both.config).stdout for more in ((), ("--account", "antwerp")))
    assert json.loads(main)["signature"] != json.loads(further)["signature"]
    assert run("call", "noojee/start?wait=5", "--account", "antwerp", *both.config).stdout.startswith("NOOJEESTATUS=OK")
    assert run("api", "mor", "user_balance_get", "username=demo", "--account", "antwerp", *both.config).returncode == 0
    for command in (stamp, ("api", "mor", "user_balance_get"), ("cdr", "--from", "2026-01-01")):
        done = run(*command, "--account", "nobody", *both.config)
        assert done.returncode == 2
        assert "nobody" in done.stdout + done.stderr or "no section [kalliope]" in done.stderr
