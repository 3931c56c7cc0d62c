"""`callsign api` for noojee, kalliope and sraps as an administrator types it, against the stand-ins."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.sandbox.vendors.sraps import COMPANY
from command_line import callsign
from product import COMMAND, LONG_SECONDS, looks_old
from settings_file import write

SECRETS = {"noojee": "key-of-the-recorder", "kalliope": "password-of-the-pbx", "sraps": "secret-of-the-service"}
CALLS = "".join(
    f"{number}.0,local_exten,2026-03-1{number} 10:00:00,,2026-03-1{number} 10:00:09,206,206,,0501234567,FAILED,,0,0,\n"
    for number in range(3)
)
PHONES = "/companies/{company}/endpoints/"
PHONE = f"{PHONES}000413aabbcc"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    kalliope = {"username": "admin", "domain": "default", "timezone": "Europe/Rome", "calls": CALLS}
    accounts = {
        "noojee": {"key": SECRETS["noojee"], "auth": "hash"},
        "kalliope": {**kalliope, "password": SECRETS["kalliope"]},
        "sraps": {
            "key_id": "ck_1",
            "key_secret": SECRETS["sraps"],
            "profiles": "\n".join(f"Profile {n}" for n in range(45)),
            "phones": "000413aabbcc|Reception|Profile 0",
        },
    }
    with Sandbox(accounts=accounts) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, box: Sandbox) -> Path:
    return write(
        tmp_path,
        f'[noojee]\nurl = "{box.url("noojee")}"\nkey = "{SECRETS["noojee"]}"\n'
        f'[kalliope]\nurl = "{box.url("kalliope")}"\nusername = "admin"\npassword = "{SECRETS["kalliope"]}"\n'
        f'[sraps]\nurl = "{box.url("sraps")}"\nkey_id = "ck_1"\nkey_secret = "{SECRETS["sraps"]}"\n',
    )


def api(settings: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = callsign("api", *arguments, "--config", str(settings))
    told, complained = done.stdout.decode(), done.stderr.decode()
    assert not [secret for secret in SECRETS.values() if secret in told + complained]
    return subprocess.CompletedProcess(done.args, done.returncode, told, complained)


def good(settings: Path, *arguments: str) -> object:
    done = api(settings, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def methods(box: Sandbox) -> list[tuple[str, str]]:
    return [(seen.method, seen.path) for seen in box.seen]


# -- noojee ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", ["hash", "apikey"])
def test_a_recorders_method_is_signed_in_both_ways(tmp_path: Path, auth: str) -> None:
    with Sandbox({"noojee": {"key": SECRETS["noojee"], "auth": auth}}) as box:
        section = f'[noojee]\nurl = "{box.url("noojee")}"\nkey = "{SECRETS["noojee"]}"\nauth = "{auth}"\n'
        path = write(tmp_path, section)
        told = good(path, "noojee", "dial", "number=0501", "extenOrUniqueId=SIP/100", "monitored=no", "--yes")
        assert told == {"Message": "Dialing", "Code": 0, "SessionID": "1"}
        asked = [seen.path.rpartition("/")[2] for seen in box.seen]
        assert asked == (["Time", "dial"] if auth == "hash" else ["dial"])
        assert box.seen[-1].query["number"] == "0501"


def test_of_a_recorders_methods_only_those_that_read_need_no_yes(settings: Path, box: Sandbox) -> None:
    assert good(settings, "noojee", "subscribe", "exten=100") == {"Message": "OK", "Code": 0, "seq": 1, "Data": {}}
    before = len(box.seen)
    for method, words in (("hangup", "ends a call"), ("start", "starts a recording"), ("reboot", "not known to only")):
        done = api(settings, "noojee", method, "extenOrUniqueId=100")
        assert (done.returncode, done.stdout, words in done.stderr, "--yes" in done.stderr) == (2, "", True, True)
    assert len(box.seen) == before


def test_a_recorders_time_is_asked_where_it_stands_and_wants_no_yes(settings: Path, box: Sandbox) -> None:
    assert isinstance(good(settings, "noojee", "Time"), int)
    assert (methods(box), dict(box.seen[0].query)) == ([("POST", "/Time")], {})
    box.trouble["noojee"] = Trouble(http_status=503)
    done = api(settings, "noojee", "Time")
    assert (done.returncode, done.stdout) == (1, "")
    assert "UNREACHABLE: HTTP 503" in done.stderr


def test_a_recorders_no_and_its_warning_are_told(settings: Path, box: Sandbox) -> None:
    box.trouble["noojee"] = Trouble(refuse_status="No such channel")
    done = api(settings, "noojee", "hangup", "extenOrUniqueId=1.2", "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "callsign api: REFUSED: No such channel\n"
    box.trouble["noojee"] = Trouble(warning="is over already")
    done = api(settings, "noojee", "hangup", "extenOrUniqueId=1.2", "--yes")
    assert (done.returncode, json.loads(done.stdout)["Code"]) == (0, 1)
    assert "is over already" in done.stderr


# -- kalliope ----------------------------------------------------------------------------------------


def test_what_is_no_json_is_as_the_vendor_sent_it_whatever_the_encoding(
    settings: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor, body = box.vendor("kalliope"), "#straße;€\n".encode()
    judge = vendor.judge

    def judged(request: Any, trouble: Trouble) -> Any:
        answer = judge(request, trouble)
        return replace(answer, body=body) if "/cdr/" in request.path else answer

    monkeypatch.setattr(vendor, "judge", judged)
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    words = ["kalliope", "GET", "/cdr/summary/2026/03/11", "--accept", "text/csv", "--config", str(settings)]
    done = subprocess.run([sys.executable, str(COMMAND), "api", *words], capture_output=True, check=True)
    assert done.stdout == body


def test_a_pbxs_register_is_json_and_on_request_csv(settings: Path) -> None:
    told = good(settings, "kalliope", "GET", "/cdr/summary/2026/03")
    assert isinstance(told, list)
    assert [call["id"] for call in told] == ["0.0", "1.0", "2.0"]
    assert good(settings, "kalliope", "GET", "/rest/cdr/summary/2026/03") == told
    done = api(settings, "kalliope", "GET", "cdr/summary/2026/03/11", "--accept", "text/csv")
    assert (done.returncode, done.stdout.splitlines()[1].split(",")[0]) == (0, "1.0")
    text = api(settings, "kalliope", "GET", "cdr/summary/2026/03/11", "--accept", "text/csv", "--json")
    assert json.loads(text.stdout).splitlines()[1].startswith("1.0,")


@pytest.mark.parametrize(
    "body",
    [
        '{"cdr": {"begin": "2026-03-11 00:00:00", "end": "2026-03-11 12:00:00"}}',
        "<kpbx_request><cdr><begin>2026-03-11 00:00:00</begin><end>2026-03-11 12:00:00</end></cdr></kpbx_request>",
    ],
)
def test_a_body_is_sent_as_what_it_is(settings: Path, tmp_path: Path, body: str) -> None:
    told = good(settings, "kalliope", "POST", "/cdr/summary", "--data", body)
    file = tmp_path / "body"
    file.write_text(body, encoding="utf-8")
    assert told == good(settings, "kalliope", "POST", "/cdr/summary", "--data", f"@{file}")
    assert isinstance(told, list)
    assert [call["id"] for call in told] == ["1.0"]


def test_of_a_pbx_a_get_rings_phones_and_wants_a_yes(settings: Path, box: Sandbox) -> None:
    call = ("kalliope", "GET", "/phoneServices/c2c/0501234567/206")
    refused = api(settings, *call)
    assert (refused.returncode, "rings phones" in refused.stderr, box.seen) == (2, True, [])
    done = api(settings, *call, "--yes")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    unknown = api(settings, "kalliope", "GET", "/backup/1")
    assert (unknown.returncode, "not known to only read" in unknown.stderr) == (2, True)
    changing = api(settings, "kalliope", "DELETE", "/account/7")
    assert (changing.returncode, "may change" in changing.stderr) == (2, True)


def test_a_pbxs_statuses_are_told_in_words(settings: Path, box: Sandbox) -> None:
    done = api(settings, "kalliope", "GET", "/nothing", "--yes")
    assert (done.returncode, "REFUSED: HTTP 404: no such resource; there is no such thing" in done.stderr) == (1, True)
    done = api(settings, "kalliope", "PUT", "/account", "--data", "{}", "--yes")
    assert (done.returncode, "knows no such verb" in done.stderr) == (1, True)
    box.trouble["kalliope"] = Trouble(refuse_status="API disabled")
    done = api(settings, "kalliope", "GET", "/account")
    assert (done.returncode, "check [kalliope] username" in done.stderr, "API disabled" in done.stderr) == (
        1,
        True,
        True,
    )


# -- sraps -------------------------------------------------------------------------------------------


def test_the_keys_own_company_is_filled_in(settings: Path, box: Sandbox) -> None:
    told = good(settings, "sraps", "GET", PHONE)
    assert isinstance(told, dict)
    assert told["name"] == "Reception"
    path = f"/companies/{COMPANY}/endpoints/000413aabbcc"
    assert methods(box) == [("GET", "/tokens/ck_1"), ("GET", path)]
    assert good(settings, "sraps", "get", f"{box.url('sraps')}{path}") == told
    settings.write_text(settings.read_text().replace(box.url("sraps"), f"{box.url('sraps')}/"))
    assert good(settings, "sraps", "GET", f"{box.url('sraps')}{path}") == told
    assert good(settings, "sraps", "GET", f"/sraps/api/v1{path}") == told


def test_all_pages_come_as_one_list(settings: Path, box: Sandbox) -> None:
    path = "/companies/{company}/provisioning-profiles/"
    first = good(settings, "sraps", "GET", path)
    assert isinstance(first, list)
    assert len(first) == 20
    everything = good(settings, "sraps", "GET", path, "--all")
    assert isinstance(everything, list)
    assert [profile["name"] for profile in everything] == [f"Profile {n}" for n in range(45)]
    assert good(settings, "sraps", "GET", f"{path}?page_size=7", "--all") == everything


def test_a_phone_is_made_changed_and_deleted(settings: Path, box: Sandbox, tmp_path: Path) -> None:
    phone = good(settings, "sraps", "GET", PHONE)
    assert isinstance(phone, dict)
    del phone["links"]
    file = tmp_path / "phone.json"
    file.write_text(json.dumps({**phone, "mac": "000413000001"}), encoding="utf-8")
    refused = api(settings, "sraps", "POST", PHONES, "--data", f"@{file}")
    assert (refused.returncode, "POST may change something: with --yes" in refused.stderr) == (2, True)
    made = api(settings, "sraps", "POST", PHONES, "--data", f"@{file}", "--yes")
    assert (made.returncode, json.loads(made.stdout)["mac"]) == (0, "000413000001")
    assert made.stderr.startswith(f"callsign api: HTTP 201: created: /sraps/api/v1/companies/{COMPANY}/endpoints/")
    again = api(settings, "sraps", "POST", PHONES, "--data", f"@{file}", "--yes")
    assert (again.returncode, "REFUSED: HTTP 403: taken_mac_or_forbidden; " in again.stderr) == (1, True)
    gone = api(settings, "sraps", "DELETE", f"{PHONES}000413000001", "--yes")
    assert (gone.returncode, gone.stdout) == (0, "")
    assert gone.stderr == "callsign api: HTTP 204: done; the answer has no body\n"
    assert api(settings, "sraps", "DELETE", f"{PHONES}000413000001", "--yes", "--json").returncode == 1


def test_accepted_is_not_done(settings: Path, box: Sandbox) -> None:
    phone = good(settings, "sraps", "GET", PHONE)
    assert isinstance(phone, dict)
    del phone["links"]
    box.trouble["sraps"] = Trouble(warning="later")
    done = api(settings, "sraps", "PUT", PHONE, "--data", json.dumps(phone), "--yes")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"message": "later"})
    assert "HTTP 202: accepted, not done yet" in done.stderr


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "finds the request malformed"),
        (401, "does not accept the signature"),
        (403, "may not do this"),
        (404, "there is no such thing"),
        (405, "knows no such request"),
        (406, "version asked for"),
        (413, "over the service's 10 MB"),
        (429, "too many requests for this API key; the service asks for a pause of 3600 s"),
        (500, "a fault in the service"),
        (502, "is not available"),
        (503, "most probably for maintenance"),
        (504, "it took too long"),
    ],
)
def test_every_bad_status_of_the_table_is_told_in_words_and_nothing_is_repeated(
    settings: Path, box: Sandbox, status: int, words: str
) -> None:
    box.trouble["sraps"] = Trouble(http_status=status, retry_after="3600" if status == 429 else None)
    done = api(settings, "sraps", "DELETE", f"/companies/{COMPANY}/endpoints/000413aabbcc", "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert f": HTTP {status}: " in done.stderr
    assert words in done.stderr
    assert ("it may have been done" in done.stderr) == (status in (500, 502, 504))
    assert methods(box) == [("DELETE", f"/companies/{COMPANY}/endpoints/000413aabbcc")]


def test_an_answer_that_is_lost_is_not_asked_for_again(settings: Path, box: Sandbox) -> None:
    box.trouble["sraps"] = Trouble(drop=True)
    done = api(settings, "sraps", "DELETE", f"/companies/{COMPANY}/endpoints/000413aabbcc", "--yes", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["status"], "it may have been done" in told["reason"]) == (1, "UNREACHABLE", True)
    assert len(box.seen) == 1


def test_a_body_over_10_mb_is_told_so(settings: Path, tmp_path: Path) -> None:
    file = tmp_path / "large.json"
    file.write_text(json.dumps("x" * 10_000_001), encoding="utf-8")
    done = api(settings, "sraps", "POST", f"/companies/{COMPANY}/endpoints/", "--data", f"@{file}", "--yes")
    assert (done.returncode, "HTTP 413" in done.stderr) == (1, True)


def test_accept_is_the_callers(settings: Path) -> None:
    done = api(settings, "sraps", "GET", PHONE, "--accept", "application/json")
    assert (done.returncode, "HTTP 406" in done.stderr) == (1, True)


def test_a_further_account_is_asked_with_its_own_key(settings: Path, box: Sandbox) -> None:
    further = '[sraps.antwerp]\nkey_id = "ck_2"\nkey_secret = "secret-of-another"\n'
    settings.write_text(settings.read_text(encoding="utf-8") + further, encoding="utf-8")
    looks_old(settings)
    done = api(settings, "sraps", "GET", "/tokens/ck_2", "--account", "antwerp")
    assert (done.returncode, "HTTP 401" in done.stderr) == (1, True)
    assert "check [sraps.antwerp] key_id" in done.stderr
    assert 'id="ck_2"' in box.seen[0].headers["authorization"]
    unknown = api(settings, "sraps", "GET", "/tokens/ck_2", "--account", "gent")
    assert (unknown.returncode, "gent" in unknown.stderr) == (2, True)


# -- all ---------------------------------------------------------------------------------------------


class Wire:
    """A PBX that gives its salt, then answers one request with what `answer` makes of the request's head."""

    def __init__(self, folder: Path, kind: str, answer: Callable[[bytes], bytes]) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._answers = [lambda _: b'{"salt": "b5a8fdcf2f8d5acdad33c4a072a97d7a"}', answer]
        self._kind = kind
        self._thread = threading.Thread(target=self._serve, daemon=True)
        url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        section = f'[kalliope]\nurl = "{url}"\nusername = "admin"\npassword = "{SECRETS["kalliope"]}"\n'
        self.settings = write(folder, section)

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            for answer in self._answers:
                body = answer(connection.recv(65536))
                head = f"HTTP/1.1 200 OK\r\nContent-Type: {self._kind}\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)

    def __enter__(self) -> Path:
        self._thread.start()
        return self.settings

    def __exit__(self, *_: object) -> None:
        self._thread.join(LONG_SECONDS)
        self._server.close()


def test_what_is_no_text_goes_into_a_file_as_it_is(tmp_path: Path) -> None:
    body = bytes(range(256))
    with Wire(tmp_path, "application/zip", lambda _: body) as settings:
        done = callsign("api", "kalliope", "GET", "/backup/7", "--yes", "--config", str(settings))
    assert (done.returncode, done.stdout, done.stderr) == (0, body, b"")
    with Wire(tmp_path, "application/zip", lambda _: body) as settings:
        told = api(settings, "kalliope", "GET", "/backup/7", "--yes", "--json")
    assert (told.returncode, "256 bytes of application/zip" in told.stderr) == (1, True)
    assert "256 bytes of application/zip" in json.loads(told.stdout)["faults"][0]


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_signature_and_a_secret_that_an_answer_repeats_are_not_shown(tmp_path: Path, form: str) -> None:
    sent: list[str] = []

    def repeating(head: bytes) -> bytes:
        sent.append(head.decode())
        words = f"{head.decode()} {SECRETS['kalliope']}"
        return (json.dumps({"you": words}) if form == "json" else words).encode()

    with Wire(tmp_path, "text/plain", repeating) as settings:
        done = api(settings, "kalliope", "GET", "/account")
    digest = sent[0].partition('Digest="')[2].partition('"')[0]
    assert (done.returncode, len(digest), digest in done.stdout, "X-authenticate" in done.stdout) == (
        0,
        44,
        False,
        True,
    )


def test_an_xml_answer_is_json_too(tmp_path: Path) -> None:
    with Wire(tmp_path, "application/xml", lambda _: b"<cdr><call><id>1.0</id></call></cdr>") as settings:
        assert good(settings, "kalliope", "GET", "/cdr/summary") == {"cdr": {"call": {"id": "1.0"}}}


@pytest.mark.parametrize(("where", "words"), [("", "the pages have no end"), ("http://localhost:1", "not followed")])
def test_pages_that_lead_nowhere_are_not_followed(tmp_path: Path, where: str, words: str) -> None:
    page = json.dumps({"results": [1], "next": f"{where}/rest/account"}).encode()
    with Wire(tmp_path, "application/json", lambda _: page) as settings:
        done = api(settings, "kalliope", "GET", "/account", "--all")
    assert (done.returncode, done.stdout, words in done.stderr) == (1, "", True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("skarabee", "x"), "invalid choice"),
        (("sraps", "GET"), "wanted VERB PATH"),
        (("sraps", "LOOK", "/x"), "with a verb of GET"),
        (("sraps", "GET", "/x", "page=2"), "parameters go into PATH"),
        (("sraps", "GET", "https://elsewhere.example/x"), "PATH: wanted one behind http://127.0.0.1"),
        (("sraps", "GET", "/a b"), "percent-encoded"),
        (("sraps", "GET", "/a/../b"), "without . and .."),
        (("kalliope", "GET", "/cdr/%2e%2e/backup"), "without . and .."),
        (("kalliope", "GET", "/account/{company}"), "is for sraps"),
        (("sraps", "GET", "/x", "--data", "{}"), "a GET has no body"),
        (("sraps", "PUT", "/x", "--data", "{", "--yes"), "is no JSON"),
        (("kalliope", "PUT", "/x", "--data", "<a>", "--yes"), "begins as XML"),
        (("sraps", "PUT", "/x", "--data", "@/nonexistent", "--yes"), "cannot be read"),
        (("sraps", "DELETE", "/x", "--all", "--yes"), "--all: is for GET"),
        (("noojee", "subscribe", "exten=1", "--all"), "for kalliope and sraps"),
        (("noojee", "subscribe", "apiKey=1"), "comes from the settings"),
        (("noojee", "subscribe", "1"), "NAME=VALUE"),
        (("noojee", "Time", "exten=1"), "takes no NAME=VALUE"),
    ],
)
def test_what_cannot_be_asked_is_exit_2_and_asks_nothing(
    settings: Path, box: Sandbox, arguments: tuple[str, ...], words: str
) -> None:
    done = api(settings, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert box.seen == []
