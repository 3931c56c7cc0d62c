"""`callsign api mor` and `callsign sign mor` as an administrator types them, against the stand-in."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.vendors.mor.methods import EFFECTS, READS, effect_of
from command_line import callsign_text
from settings_file import write

KEY = "the-key-of-mor"
ACCOUNTS = {"mor": {"user": "admin", "key": KEY}}


def section(url: str) -> str:
    return f'[mor]\nurl = "{url}"\nuser = "admin"\nkey = "{KEY}"\n'


@pytest.fixture
def settings(tmp_path: Path, box: Sandbox) -> Path:
    return settings_at(tmp_path, section(box.url("mor")))


def settings_at(folder: Path, text: str) -> Path:
    return write(folder, f'[outbox]\npath = "{folder}/outbox.db"\n{text}')


def run(settings: Path, *arguments: str | bytes) -> subprocess.CompletedProcess[str]:
    done = callsign_text(*arguments, "--config", str(settings))
    assert KEY not in done.stdout + done.stderr
    return done


def test_the_answer_is_json(settings: Path, box: Sandbox) -> None:
    done = run(settings, "api", "mor", "user_balance_get", "currency=USD", "username=bob")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"page": {"balance": "13.5740"}}
    short = run(settings, "api", "mor", "--json", "user_balance_get", "username=bob")
    assert short.stdout == '{"page": {"balance": "12.3400"}}\n'
    assert [seen.verdict for seen in box.seen] == ["OK", "OK"]


def test_a_gzipped_file_is_json_too(settings: Path) -> None:
    done = run(settings, "api", "mor", "cli_info_get", "cli=056528999")
    assert json.loads(done.stdout) == {"page": {"cli": {"device": {"user_id": "2", "device_id": "7"}}}}
    assert "sent and not hashed" in done.stderr
    assert "cli" in done.stderr
    assert "056528999" not in done.stderr


def test_what_is_not_known_to_only_read_needs_a_yes(settings: Path, box: Sandbox) -> None:
    for line in (["user_balance_update", "user_id=5", "balance=10"], ["callback_init", "device=7", "src=201"], ["new"]):
        done = run(settings, "api", "mor", *line)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--yes" in done.stderr
    assert "moves money" in run(settings, "api", "mor", "user_balance_update").stderr
    assert box.seen == []
    done = run(settings, "api", "mor", "--yes", "user_balance_update", "user_id=5", "balance=10")
    assert (done.returncode, json.loads(done.stdout)["page"]["user"]["balance"]) == (0, "10")
    assert len(box.seen) == 1


def test_mors_no_is_exit_1_with_its_words(settings: Path) -> None:
    done = run(settings, "api", "mor", "user_balance_get", "username=unknown")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("callsign api: REFUSED: User was not found; ")
    told = json.loads(run(settings, "api", "mor", "user_balance_get", "username=unknown", "--json").stdout)
    assert (told["status"], told["reason"].startswith("User was not found")) == ("REFUSED", True)


def test_a_status_that_says_no_is_exit_1(settings: Path) -> None:
    done = run(settings, "api", "mor", "callback_init", "device=7", "--yes")
    assert (done.returncode, "REFUSED: No source" in done.stderr) == (1, True)


def test_a_server_in_trouble_is_exit_1_and_not_asked_again(settings: Path, box: Sandbox) -> None:
    box.trouble["mor"] = Trouble(http_status=502)
    read = run(settings, "api", "mor", "user_balance_get", "username=bob")
    assert (read.returncode, "UNREACHABLE: HTTP 502" in read.stderr, "may have been" in read.stderr) == (1, True, False)
    done = run(settings, "api", "mor", "--yes", "user_balance_update", "user_id=5", "balance=10")
    assert (done.returncode, "it may have been done" in done.stderr) == (1, True)
    box.trouble["mor"] = Trouble(drop=True)
    done = run(settings, "api", "mor", "--yes", "user_balance_update", "user_id=5", "balance=10")
    assert (done.returncode, "it may have been done" in done.stderr) == (1, True)
    assert len(box.seen) == 3


def test_what_never_left_was_not_done(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = run(
        settings_at(tmp_path, section(f"http://127.0.0.1:{port}/api")), "api", "mor", "--yes", "sms_send", "dst=1"
    )
    assert (done.returncode, "refuses connections" in done.stderr, "may have" in done.stderr) == (1, True, False)


def test_a_page_that_is_no_mor_is_exit_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        page = b"<!DOCTYPE html><title>It works</title>"
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(page), page)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/api"
        done = run(settings_at(tmp_path, section(url)), "api", "mor", "system_version_get")
        thread.join(30)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is [mor] url MOR's" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["user_balance_get", "bob"], "NAME=VALUE"),
        (["user_balance_get", "username=a", "username=b"], "twice"),
        (["user_balance_get", "u=eve"], "comes from the settings"),
        (["user_balance_get", "hash=1"], "comes from the settings"),
        (["user_details_get", "user_id=007"], "leading zero"),
        (["user_calls_get", "calltype=lost"], "calltype: wanted one of all, answered"),
        (["../user_balance_get"], "METHOD"),
        (["user_balance_get?x"], "METHOD"),
        (["user_balance_get", "a b=1"], "NAME=VALUE"),
        (["user_balance_get", b"username=\xff"], "UTF-8"),
    ],
)
def test_what_cannot_be_asked_is_exit_2_and_asks_nothing(
    settings: Path, box: Sandbox, arguments: list[str | bytes], words: str
) -> None:
    done = run(settings, "api", "mor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert box.seen == []


def test_without_a_section_it_says_so(tmp_path: Path) -> None:
    done = run(settings_at(tmp_path, ""), "api", "mor", "system_version_get")
    assert (done.returncode, "[mor]" in done.stderr) == (2, True)


def test_sign_shows_the_vendors_own_example(tmp_path: Path) -> None:
    text = section("https://mor.example/api").replace(KEY, "Very Sercet Key")
    values = ["calltype=answered", "user_id=123", "period_start=1252454580"]
    done = run(settings_at(tmp_path, text), "sign", "mor", *values)
    assert "1231252454580answered****" in done.stdout
    assert "b93c35d5c6183288322122561a3da7e09abb63b7" in done.stdout
    assert "Sercet" not in done.stdout
    unknown = run(settings_at(tmp_path, text), "sign", "mor", "usernam=bob")
    assert (unknown.returncode, "did you mean username?" in unknown.stderr) == (2, True)


def test_the_handlers_answer_from_the_shell(settings: Path) -> None:
    told = json.loads(run(settings, "call", "mor/balance", "bob", "--json").stdout)
    assert told == {"MORSTATUS": "OK", "MORREASON": "", "MORJOB": "", "MORBALANCE": "12.3400"}
    nobody = json.loads(run(settings, "call", "mor/caller", "--callerid", "056528990", "--json").stdout)
    assert (nobody["MORSTATUS"], nobody["MORUSERID"], nobody["MORREASON"]) == ("OK", "", "CLI not found")


def test_no_method_is_in_both_tables() -> None:
    assert not READS & set(EFFECTS)
    assert effect_of("user_balance_get") == ""
    assert effect_of("user_login")
