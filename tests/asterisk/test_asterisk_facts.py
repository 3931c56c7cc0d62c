"""What the product relies on in Asterisk itself, measured, so that a version that differs is noticed."""

from __future__ import annotations

import pytest

from bare_fastagi import BareFastAgi, Session
from real_asterisk import RealAsterisk

DIALPLAN = r"""
[facts]
exten => agi,1,AGI(${URL}/x)

exten => quote,1,AGI(${URL}/x,,${QUOTE(${TEXT})},last)
exten => quotelast,1,AGI(${URL}/x,,${QUOTE(${TEXT})})
exten => filter,1,AGI(${URL}/x,,${FILTER(0-9A-Za-z+*#@._\-,${TEXT})},last)

exten => local,1,Gosub(facts-local,s,1)
 same => n,Set(AFTER=[${AGISIGHUP}])
 same => n,AGI(${URL}/x)

exten => url,1,Set(BY_IF=${IF($["${CALLSIGN_AGI}" = ""]?"agi://127.0.0.1:4591":"${CALLSIGN_AGI}")})
 same => n,Gosub(facts-url,s,1)

exten => predial,1,Dial(Local/s@facts-dialled,5,b(facts-predial^s^1(first))b(facts-predial^s^1(last)))

exten => _[0-9a-z].,1,Gosub(facts-peek,s,1)

[facts-dialled]
exten => s,1,Hangup()

[facts-predial]
exten => s,1,Set(GLOBAL(PREDIAL)=${PREDIAL}${ARG1})
 same => n,Return()

[facts-local]
exten => s,1,Set(LOCAL(AGISIGHUP)=no)
 same => n,AGI(${URL}/x)
 same => n,Return()

[facts-url]
exten => s,1,Set(LOCAL(AGI)=${CALLSIGN_AGI})
 same => n,ExecIf($["${AGI}" = ""]?Set(LOCAL(AGI)=agi://127.0.0.1:4591))
 same => n,Set(BY_LOCAL=${AGI})
 same => n,Return()

[facts-peek]
exten => s,1,Set(PEEK=${STACK_PEEK(1,e)})
 same => n,Set(BACKSLASH=${FILTER(0-9A-Za-z+*#@._\-,${STACK_PEEK(1,e)})})
 same => n,Set(FRONT=${FILTER(-0-9A-Za-z+*#@._,${STACK_PEEK(1,e)})})
 same => n,Set(BARE=${FILTER(0-9A-Za-z+*#@._-,${STACK_PEEK(1,e)})})
 same => n,AGI(${URL}/x)
 same => n,Return()
"""


def agi_quoted(text: str) -> str:
    """As a quoted word of an AGI command."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def mset_value(text: str) -> str:
    """As a value in MSet's list: everything that its splitter looks at, behind a backslash."""
    return "".join("\\" + char if char in '\\",()[]' else char for char in text)


def ask_in_a_call(asterisk: RealAsterisk, *commands: str, names: list[str]) -> tuple[list[str | None], list[str]]:
    """Gives the commands in a call: the variables after them, and what Asterisk warned of."""
    values: list[str | None] = []

    def handle(session: Session) -> None:
        for command in commands:
            session.ask(command)
        values.extend(session.value(name) for name in names)

    mark = asterisk.mark()
    with BareFastAgi(handle) as server:
        asterisk.call("agi", "facts", variables={"URL": server.url})
        server.next_session()
    return values, asterisk.warnings(mark)


@pytest.mark.parametrize("options", ["A=OK,B=,C=17", 'A=OK,B="",C=17', "A=OK,C=17,B="])
def test_mset_empties_a_variable_without_a_warning(asterisk: RealAsterisk, options: str) -> None:
    values, warnings = ask_in_a_call(
        asterisk,
        'SET VARIABLE B "old"',
        f"EXEC MSet {agi_quoted(options)}",
        names=["A", "B", "C", "NEVERSET"],
    )
    assert values == ["OK", "", "17", None]
    assert warnings == []


def test_mset_leaves_most_characters_as_they_are(asterisk: RealAsterisk) -> None:
    text = " x:./+-@_= ';#%&!?*<>|~^{}$é]) "
    values, warnings = ask_in_a_call(asterisk, f"EXEC MSet {agi_quoted(f'V={text},W=next')}", names=["V", "W"])
    assert values == [text, "next"]
    assert warnings == []


@pytest.mark.parametrize(
    ("text", "seen"),
    [("a(b", ["a(b,W=next", None]), ("a[b", ["a[b,W=next", None]), ('a"b', ["ab,W=next", None]),
     ("a\\b", ["ab", "next"]), ("a,b", ["a", "next"])],
)  # fmt: skip
def test_mset_splits_at_unescaped_separators(asterisk: RealAsterisk, text: str, seen: list[str | None]) -> None:
    values, _ = ask_in_a_call(asterisk, f"EXEC MSet {agi_quoted(f'V={text},W=next')}", names=["V", "W"])
    assert values == seen


def test_mset_takes_every_character_behind_a_backslash(asterisk: RealAsterisk) -> None:
    text = "".join(map(chr, range(32, 127))) + 'é ((( [[ """ \\\\ ,,,'
    values, warnings = ask_in_a_call(
        asterisk, f"EXEC MSet {agi_quoted(f'V={mset_value(text)},W=next')}", names=["V", "W"]
    )
    assert values == [text, "next"]
    assert warnings == []


def test_mset_takes_24_pairs_at_once(asterisk: RealAsterisk) -> None:
    pairs = ",".join(f"V{n}={n}" for n in range(1, 25))
    values, _ = ask_in_a_call(asterisk, f"EXEC MSet {agi_quoted(pairs)}", names=["V1", "V24"])
    assert values == ["1", "24"]


@pytest.mark.parametrize("setting", ["", "no", "yes"])
def test_exec_expands_variables_only_if_agiexecfull_is_yes(asterisk: RealAsterisk, setting: str) -> None:
    values, _ = ask_in_a_call(
        asterisk, f'SET VARIABLE AGIEXECFULL "{setting}"', "SET VARIABLE X expanded",
        'EXEC MSet "V=${X},S=$[1+2],D=5$"', 'SET VARIABLE BY_SET "${X}"', names=["V", "S", "D", "BY_SET"],
    )  # fmt: skip
    assert values == (["expanded", "3"] if setting == "yes" else ["${X}", "$[1+2]"]) + ["5$", "${X}"]


def test_a_local_agisighup_silences_the_end_of_its_own_step_only(asterisk: RealAsterisk) -> None:
    with BareFastAgi() as server:
        result = asterisk.call("local", "facts", variables={"URL": server.url}, report=["AFTER"])
        in_subroutine, after_return = server.next_session(), server.next_session()
    assert in_subroutine.after_end == []
    assert after_return.after_end == ["HANGUP"]
    assert result.variables == {"AFTER": "[]"}


@pytest.mark.parametrize("given", [{}, {"CALLSIGN_AGI": ""}, {"CALLSIGN_AGI": "agi://127.0.0.1:5555"}])
def test_the_servers_address_is_chosen_by_execif_not_by_if(asterisk: RealAsterisk, given: dict[str, str]) -> None:
    result = asterisk.call("url", "facts", variables=given, report=["BY_LOCAL", "BY_IF", "AGI"])
    wanted = given.get("CALLSIGN_AGI") or "agi://127.0.0.1:4591"
    assert result.variables["BY_LOCAL"] == wanted
    assert result.variables["AGI"] == ""  # local, so gone after Return
    # IF drops the quotes of its first text but keeps those of its second.
    assert result.variables["BY_IF"] == (f'"{wanted}"' if given.get("CALLSIGN_AGI") else wanted)


@pytest.mark.parametrize(
    ("exten", "kept"),
    [
        ("056528998", "056528998"),
        ('a"b(c,d', "abcd"),
        ("1-2;3/4]5", "1-2345"),
        ("3z[}\\)${X}+*#@._", "3zX+*#@._"),
    ],
)
def test_a_subroutine_peeks_at_the_extension_that_called_it(asterisk: RealAsterisk, exten: str, kept: str) -> None:
    report = ["PEEK", "BACKSLASH", "FRONT", "BARE"]
    with BareFastAgi() as server:
        result = asterisk.call(exten, "facts", variables={"URL": server.url}, report=report)
        env = server.next_session().env
    assert result.variables == {
        "PEEK": exten,
        "BACKSLASH": kept,
        "FRONT": kept,
        "BARE": kept.replace("-", ""),
    }
    assert (env["agi_extension"], env["agi_dnid"]) == ("s", "unknown")


@pytest.mark.parametrize("text", ["plain", "a,b", 'a"b', "x\\y", 'a,"b(c)\\d', "a)b]", "$[1+1] ${X}", "é ;'|"])
def test_quote_carries_text_through_an_agi_argument(asterisk: RealAsterisk, text: str) -> None:
    with BareFastAgi() as server:
        asterisk.call("quote", "facts", variables={"URL": server.url, "TEXT": text})
        env = server.next_session().env
    assert (env["agi_arg_1"], env["agi_arg_2"], env["agi_arg_3"]) == ("", text, "last")


@pytest.mark.parametrize("text", ["(a", "a[b", '"(",'])
def test_quote_does_not_keep_an_unclosed_bracket_from_swallowing_the_next_argument(
    asterisk: RealAsterisk, text: str
) -> None:
    given = {"TEXT": text}
    with BareFastAgi() as server:
        asterisk.call("quote", "facts", variables={"URL": server.url, **given})
        asterisk.call("quotelast", "facts", variables={"URL": server.url, **given})
        asterisk.call("filter", "facts", variables={"URL": server.url, **given})
        swallowed, last, filtered = (server.next_session().env for _ in range(3))
    assert (swallowed["agi_arg_2"], swallowed.get("agi_arg_3")) == (f"{text},last", None)
    assert last["agi_arg_2"] == text  # nothing after it to swallow
    assert filtered["agi_arg_3"] == "last"


def test_of_two_predial_handlers_the_last_one_counts(asterisk: RealAsterisk) -> None:
    result = asterisk.call("predial", "facts", report=["PREDIAL"])
    assert result.variables == {"PREDIAL": "last"}  # FreePBX's behind that of a trunk's options: see help freepbx
