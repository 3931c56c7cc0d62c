"""A channel as AGI commands see it: its variables, what they expand to, and whether it still lives."""

from __future__ import annotations

from collections.abc import Sequence

from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.parsing import split_arguments

RINGING, UP = 4, 6
"""Channel states as CHANNEL STATUS reports them (include/asterisk/channelstate.h)."""

MOST_PAIRS = 99
"""Pairs that MSet parts (main/pbx_variables.c); number 99 swallows the rest. Asterisk 16 to 22 agree."""


class Channel:
    """The channel of one `Call` while an AGI session runs on it. Not for use from several threads."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.state = RINGING
        self.hung_up = False
        self.written: dict[str, str] = {}
        """What the session wrote: last value by name, without the underscores that ask for inheritance."""
        self._variables = {name.removeprefix("_").removeprefix("_"): v for name, v in call.variables.items()}
        self._facts = {
            "CHANNEL": call.channel,
            "CONTEXT": call.context,
            "EXTEN": call.extension,
            "PRIORITY": str(call.priority),
            "UNIQUEID": call.uniqueid,
            "CALLERID(num)": call.callerid,
            "CALLERID(number)": call.callerid,
            "CALLERID(name)": call.calleridname,
            "CALLERID(dnid)": call.dnid,
            "CALLERID(rdnis)": call.rdnis,
            "CHANNEL(name)": call.channel,
            "CHANNEL(uniqueid)": call.uniqueid,
            "CHANNEL(linkedid)": call.linkedid or call.uniqueid,
            "CHANNEL(language)": call.language,
            "CHANNEL(accountcode)": call.accountcode,
        }

    def runs(self, request: str, arguments: Sequence[str]) -> None:
        """The dialplan has reached `AGI(request,arguments…)`; quotes and backslashes are as if none had been needed."""
        self._facts["CHANNEL(appdata)"] = ",".join((request, *arguments))

    def get(self, name: str) -> str | None:
        """The value of a variable or of a function like CHANNEL(linkedid); None where there is none.

        A variable that was set to nothing is not the same as none. Of the functions, this channel knows the
        few above and those that were written to or given in `Call.variables`.
        """
        if name in self._variables:
            return self._variables[name]
        return self._facts.get(name)

    def set(self, name: str, value: str) -> None:
        """Set a variable: `_X` and `__X` become X (main/pbx_variables.c, pbx_builtin_setvar_helper)."""
        if not name.endswith(")"):
            name = name.removeprefix("_").removeprefix("_")
        self._variables[name] = self.written[name] = value

    def set_many(self, pairs: str) -> None:
        """The application MSet: split as arguments, then each at its first `=`; others are ignored.

        The first splitting removes quotes and backslashes, so a value keeps them only where they were
        protected.
        """
        for pair in split_arguments(pairs, most=MOST_PAIRS):
            parts = split_arguments(pair, separator="=", most=2)
            if len(parts) == 2:
                self.set(*parts)

    def expand(self, text: str) -> str:
        """`text` with each `${NAME}` replaced, inner ones first; unknown ones vanish.

        Values are not expanded again. What Asterisk does beyond that (`$[…]`, `${NAME:1:2}`) stays as it is.
        """
        expanded, _ = self._expand(text, 0, inside=False)
        return expanded

    def _expand(self, text: str, position: int, *, inside: bool) -> tuple[str, int]:
        pieces: list[str] = []
        while position < len(text):
            if text.startswith("${", position):
                name, position = self._expand(text, position + 2, inside=True)
                pieces.append(self.get(name) or "")
            elif inside and text[position] == "}":
                return "".join(pieces), position + 1
            else:
                pieces.append(text[position])
                position += 1
        return "".join(pieces), position
