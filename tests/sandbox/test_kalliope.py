"""KalliopePBX's stand-in is what callsign is measured by: against the documents' own examples, over real sockets."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any

import pytest

from callsign.sandbox.vendors.kalliope import DEFAULT_SALT, Kalliope
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from clocks_play import Clock
from exchange import Reply, exchange

# "Introduzione alle API REST Kalliope", 1.3
PRINTED = (
    'RestApiUsernameToken Username="admin", Domain="default", '
    'Digest="+PJg7Tb3v98XnL6iJVv+v5hwhYjdzQ2tIWxvJB2cE40=", '
    'Nonce="bfb79078ff44c35714af28b7412a702b", Created="2016-04-29T15:48:26Z"'
)
CREATED = datetime(2016, 4, 29, 15, 48, 26, tzinfo=timezone.utc)
CALLS = """#id,source,start_time,answer_time,end_time,account_code,caller,gateway_name,\
called,status,answered_by,bill_secs,duration,destination
1452595954.0,local_exten,2016-01-12 11:52:34,,2016-01-12 11:52:34,206,206,,0501234567,FAILED,,0,0,
1452610800.1,local_exten,2016-01-12 16:00:00,,2016-01-12 16:00:09,206,206,,0501234567,BUSY,,0,9,
1455500000.2,gateway,2016-02-15 02:33:20,,2016-02-15 02:33:29,,0501234567,trunk,206,ANSWERED,206,7,9,
1461880000.3,local_exten,2016-04-28 23:46:40,,2016-04-28 23:47:00,207,207,trunk,0501234568,ANSWERED,,20,20,
"""
ACCOUNT = {"username": "admin", "password": "admin", "domain": "default", "timezone": "Europe/Rome", "calls": CALLS}
IDS = [line.partition(",")[0] for line in CALLS.splitlines()[1:]]
NONCES = count(0x10000000)


@pytest.fixture
def clock() -> Clock:
    return Clock(CREATED.timestamp())


@pytest.fixture
def box(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox({"kalliope": ACCOUNT}, clock=clock) as running:
        yield running


def ids(reply: Reply) -> list[str]:
    return [call["id"] for call in reply.json]


def made(created: datetime = CREATED, nonce: str = "", password: str = "admin", salt: str = DEFAULT_SALT) -> str:
    nonce = nonce or f"{next(NONCES):x}"
    hashed = hashlib.sha256(f"{password}{{{salt}}}".encode()).hexdigest()
    when = f"{created:%Y-%m-%dT%H:%M:%SZ}"
    digest = base64.b64encode(hashlib.sha256(f"{nonce}{hashed}admindefault{when}".encode()).digest()).decode()
    return (
        f'RestApiUsernameToken Username="admin", Domain="default", Digest="{digest}", Nonce="{nonce}", Created="{when}"'
    )


def send(
    box: Sandbox,
    path: str,
    body: bytes | None = None,
    accept: str = "application/json",
    kind: str = "application/json",
    proof: str | None = "",
    method: str = "",
) -> Reply:
    headers = {"Accept": accept} | ({"Content-Type": kind} if body else {})
    if proof is not None:
        headers["X-authenticate"] = proof or made()
    return exchange(box.port, method or ("POST" if body else "GET"), f"/kalliope/rest/{path}", body, headers)


def period(**fields: str) -> bytes:
    return json.dumps({"cdr": fields}).encode()


# -- the header --------------------------------------------------------------------------------------


def test_the_printed_header_is_taken_once(box: Sandbox) -> None:
    assert send(box, "cdr/summary", proof=PRINTED).status == 200
    again = send(box, "cdr/summary", proof=PRINTED)
    assert (again.status, json.loads(again.body)["error"]) == (401, "the Nonce was used before")


@pytest.mark.parametrize("seconds", [-301, 301])
def test_created_may_be_five_minutes_off_and_no_more(box: Sandbox, clock: Clock, seconds: float) -> None:
    clock.now += seconds
    assert send(box, "cdr/summary", proof=PRINTED).status == 401
    clock.now -= seconds / 301
    assert send(box, "cdr/summary", proof=PRINTED).status == 200


def test_a_nonce_is_free_again_after_five_minutes(box: Sandbox, clock: Clock) -> None:
    nonce = "0123abcd"
    assert send(box, "cdr/summary", proof=made(nonce=nonce)).status == 200
    clock.now += 299
    assert send(box, "cdr/summary", proof=made(CREATED + timedelta(seconds=299), nonce)).status == 401
    clock.now += 1
    assert send(box, "cdr/summary", proof=made(CREATED + timedelta(seconds=300), nonce)).status == 200


@pytest.mark.parametrize(
    "proof",
    [
        None,
        PRINTED + "0",  # the stray digit of the document's second example
        PRINTED.replace(", ", ",\n "),
        PRINTED.replace(", ", ","),
        PRINTED.replace("Z", "+00:00"),
        PRINTED.replace('26Z"', '26.5Z"'),
        PRINTED.replace("admin", "ad@min"),
        PRINTED.replace('Username="admin"', 'Username="root"'),
        PRINTED.replace("default", "other"),
        PRINTED.replace("+PJg", "+PJh"),
        PRINTED.replace("702b", "702c"),
        PRINTED.replace(":26Z", ":27Z"),
        PRINTED.replace("bfb79078ff44c35714af28b7412a702b", "bfb7907"),
        PRINTED.replace("2016-04-29", "2016-13-29"),
        made(password="nimda"),
        made(salt="0" * 32),
    ],
)
def test_any_other_header_is_refused(box: Sandbox, proof: str | None) -> None:
    if proof is not None and "\n" in proof:
        proof = proof.replace("\n", "\r\n")  # a header over several lines, as the document prints it
    assert send(box, "cdr/summary", proof=proof).status == 401


def test_the_salt_is_for_anybody_in_json_and_xml_and_for_the_tenant_alone(box: Sandbox) -> None:
    assert json.loads(send(box, "salt/default", proof=None).body) == {"salt": DEFAULT_SALT}
    told = ElementTree.fromstring(send(box, "salt/default", accept="*/*", proof=None).body)
    assert told.findtext("salt") == DEFAULT_SALT
    assert send(box, "salt/other", proof=None).status == 404
    assert send(box, "salt/default", b"{}", proof=None).status == 405


# -- which calls -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", [3]),  # the current month
        ("/2016", [0, 1, 2, 3]),
        ("/2015", []),
        ("/2015-2016", [0, 1, 2, 3]),
        ("/2016/01", [0, 1]),
        ("/2016/01-02", [0, 1, 2]),
        ("/2016/01/12", [0, 1]),
        ("/2016/01/11-13", [0, 1]),
        ("/2016/01-02/12-15", [0, 1, 2]),
        ("/2016/01/13-31", []),
    ],
)
def test_a_period_in_the_url(box: Sandbox, path: str, found: list[int]) -> None:
    assert ids(send(box, f"cdr/summary{path}")) == [IDS[number] for number in found]


@pytest.mark.parametrize("path", ["/16", "/2016/1", "/2016/01/1-2", "/2016/01/01/01", "/now"])
def test_what_is_no_period_is_refused(box: Sandbox, path: str) -> None:
    assert send(box, f"cdr/summary{path}").status == 400


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, [3]),  # the current month
        ({"begin": "2016-01-12 11:00:00", "end": "2016-01-12 15:00:00"}, [0]),
        ({"begin": "2016-01-12 15:00:00", "end": "2016-01-12 16:00:00"}, [1]),
        ({"begin": "2016-01-12 16:00:00"}, [1, 2, 3]),
        ({"end": "2016-01-12 16:00:00"}, [0, 1]),
        ({"unique_id": IDS[0]}, []),
        ({"unique_id": IDS[3]}, [3]),
        ({"begin": "2016-01-01 00:00:00", "end": "2016-12-31 00:00:00", "unique_id": IDS[0]}, [0]),
    ],
)
def test_a_period_in_the_body_as_json_and_as_xml(box: Sandbox, fields: dict[str, str], found: list[int]) -> None:
    wanted = [IDS[number] for number in found]
    assert ids(send(box, "cdr/summary/1999", period(**fields))) == wanted  # only {format} counts
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    page = f'<?xml version="1.0"?>\n<kpbx_request>\n<cdr>{inner}</cdr></kpbx_request>'.encode()
    assert ids(send(box, "cdr/summary", page, kind="application/xml")) == wanted


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"begin=now", "application/json"),
        (b'{"begin":"2016-01-12 11:00:00"}', "application/json"),
        (period(begin="2016-01-12"), "application/json"),
        (period(since="2016-01-12 11:00:00"), "application/json"),
        (period(), "application/xml"),
        (b"<cdr/>", "application/xml"),
    ],
)
def test_a_body_that_the_document_does_not_know_is_refused(box: Sandbox, body: bytes, kind: str) -> None:
    assert send(box, "cdr/summary", body, kind=kind).status == 400


@pytest.mark.parametrize("path", ["cdr", "cdr/short", "cdr/summary2", "dashboard", ""])
def test_there_is_nothing_else(box: Sandbox, path: str) -> None:
    assert send(box, path).status == 404


def test_other_methods_are_refused(box: Sandbox) -> None:
    assert send(box, "cdr/summary", method="DELETE").status == 405
    assert send(box, "cdr/summary", b"{}", method="GET").status == 400


# -- how they are shown ------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["summary", "detailed", "v3_compat"])
def test_three_styles_come_in_three_forms(box: Sandbox, style: str) -> None:
    path = f"cdr/{style}/2016/01"
    as_json = send(box, path)
    assert as_json.headers["Content-Type"] == "application/json"
    first = json.loads(as_json.body)[0]
    assert (first["id"], first["account_code"], first["bill_secs"], first["destination"]) == (IDS[0], "206", 0, "")
    as_csv = send(box, path, accept="text/csv")
    lines = list(csv.reader(as_csv.body.decode().splitlines()))
    assert as_csv.headers["Content-Type"] == "text/csv"
    assert (lines[0][0], len(lines[0]), lines[1][0], len(lines)) == ("#id", 14, IDS[0], 3)
    as_xml = send(box, path, accept="application/xml")
    assert as_xml.headers["Content-Type"] == "application/xml"
    assert [call.findtext("id") for call in ElementTree.fromstring(as_xml.body).iterfind("call")] == IDS[:2]


def test_blues_is_text_whatever_is_asked(box: Sandbox) -> None:
    reply = send(box, "cdr/blues_out/2016/01", accept="application/json")
    assert reply.headers["Content-Type"] == "text/plain"
    assert reply.body.decode().splitlines()[0] == "2016-01-12 11:52:34 206 0501234567 0"


def test_a_user_without_the_privilege_sees_no_last_digits(clock: Clock) -> None:
    with Sandbox({"kalliope": {**ACCOUNT, "masked": "yes"}}, clock=clock) as box:
        calls = json.loads(send(box, "cdr/summary/2016/01").body)
    assert {(call["caller"], call["called"]) for call in calls} == {("206", "0501234xxx")}


def test_the_register_may_grow_and_an_account_without_one_has_a_few_calls(box: Sandbox, clock: Clock) -> None:
    pbx: Any = box.vendor("kalliope")
    assert isinstance(pbx, Kalliope)
    assert pbx.calls is not None
    pbx.calls.append({**pbx.calls[0], "id": "1.1", "start_time": "2016-04-02 00:00:00"})
    assert ids(send(box, "cdr/summary")) == [IDS[3], "1.1"]
    bare = {name: value for name, value in ACCOUNT.items() if name != "calls"}
    with Sandbox({"kalliope": bare}, clock=clock) as other:
        calls = json.loads(send(other, "cdr/summary").body)
    assert [call["account_code"] for call in calls] == ["205", "206", ""]
    assert calls[1]["start_time"] == "2016-04-29 15:48:26"  # two hours ago, in Rome


def test_trouble_does_not_hide_a_bad_header(box: Sandbox) -> None:
    box.trouble["kalliope"] = Trouble(refuse_status="API disabled")
    assert send(box, "cdr/summary").status == 403
    assert send(box, "cdr/summary", proof="x").status == 401


def test_the_line_for_the_screen_has_no_secret_and_no_number(box: Sandbox) -> None:
    send(box, "cdr/summary", period(unique_id=IDS[0]))
    (seen,) = box.seen
    assert "kalliope POST /rest/cdr/summary" in seen.masked()
    assert "Digest" not in seen.masked()
