"""What `call` does: one handler from the shell, as a plain AGI script would run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from callsign.delivery.asking import Asking
from callsign.http.transport import HttpTransport
from callsign.outbox.outbox import Outbox
from callsign.script.rounds import ScriptDelivery
from callsign.settings.sections import Settings
from callsign.steps.answer import Services, answer
from callsign.steps.step import read_step


def call(request: str, args: Sequence[str], env: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Runs one handler as a plain AGI script would, and delivers unless another process does."""
    outbox = Outbox(settings.outbox.path, settings.outbox.durability, settings.outbox.keep_days)
    try:
        share = ScriptDelivery(outbox, settings)
        asking = Asking(lambda: settings, HttpTransport().send)
        services = Services(lambda: settings, outbox, share.wait_for, asking.ask)
        told = answer(read_step(env, args, request=request), services)
        if any(value for name, value in told.items() if name.endswith("JOB")):
            share.deliver_rest(linger=False)
        return told
    finally:
        outbox.close()


def with_account(path: str, account: str) -> str:
    """The path with the option that chooses this account, if one is named."""
    if not account:
        return path
    return f"{path}{'&' if '?' in path else '?'}account={quote(account, safe='')}"
