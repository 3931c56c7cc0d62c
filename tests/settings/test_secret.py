"""A key goes out of a Secret by `reveal()` and by no other door, least of all one that a log or a traceback takes."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from string import Template
from typing import Any

import pytest

from callsign.settings.secret import Secret
from callsign.settings.sections import Office

KEY = "326C4EA6636911C0537F"


def test_reveal_gives_the_text_itself() -> None:
    assert Secret(KEY).reveal() == KEY


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r}",
        lambda secret: "{}".format(secret),  # noqa: UP032
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: Template("$key").substitute(key=secret),
        lambda secret: repr([secret, {"key": secret}]),
        lambda secret: repr(Office("8103", secret)),
        lambda secret: repr(dir(secret)),
    ],
)
def test_no_text_made_of_a_secret_holds_it(show: Callable[[Secret], str]) -> None:
    assert KEY not in show(Secret(KEY))


@pytest.mark.parametrize(
    "carry_out",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        vars,
        bytes,
        lambda secret: f"{secret:>30}",
        lambda secret: "".join(secret),
        lambda secret: asdict(_Holder(secret)),
    ],
)
def test_a_secret_is_not_carried_out_by_accident(carry_out: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError) as refusal:
        carry_out(Secret(KEY))
    assert KEY not in "".join(traceback.format_exception(refusal.value))


@dataclass
class _Holder:
    key: Secret


def test_a_log_record_shows_a_mask(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("callsign.test").error("key %s in %r", Secret(KEY), {"key": Secret(KEY)})
    assert KEY not in caplog.text
    assert "Secret(****)" in caplog.text


def test_secrets_compare_by_their_text_and_with_nothing_else() -> None:
    # a pair of Noojee's is kept for as long as the key is the same one
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != Secret("another")
    assert Secret(KEY) != KEY
    assert len({Secret(KEY), Secret(KEY), Secret("another")}) == 2
