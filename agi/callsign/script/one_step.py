"""One step as the plain AGI script runs it, without Asterisk: for `callsign call`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from callsign.delivery.asking import Asking
from callsign.http.transport import HttpTransport
from callsign.outbox.outbox import Outbox
from callsign.script.rounds import ScriptDelivery
from callsign.settings.sections import Settings
from callsign.steps.answer import Services, answer, note_question
from callsign.steps.step import read_step


def answer_one_step(request: str, args: Sequence[str], env: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The variables that it sets.  Delivers what it has stored, unless another process does."""
    outbox = Outbox(settings.outbox.path, settings.outbox.durability, settings.outbox.keep_days)
    try:
        share = ScriptDelivery(outbox, settings)
        asking = Asking(lambda: settings, HttpTransport().send)
        services = Services(lambda: settings, outbox, share.wait_for, asking.ask)
        step = read_step(env, args, request=request)
        variables = answer(step, services)
        note_question(step, variables, services)
        if any(value for name, value in variables.items() if name.endswith("JOB")):
            share.deliver_rest(linger=False)
        return variables
    finally:
        outbox.close()
