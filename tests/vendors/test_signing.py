"""The digests, against the standards' own examples."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

from callsign.nonces import new_nonce
from callsign.settings.secret import Secret
from callsign.vendors.signing import Explained, hmac_sha256_hex, sha1_hex, sha256_hex
from product import PROJECT

HERE = Path(__file__).parent


def test_hmac_sha256_gives_what_rfc_4231_prints() -> None:
    # RFC 4231, 4.3, test case 2
    wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256_hex(Secret("Jefe"), "what do ya want for nothing?") == wanted


def test_sha256_gives_what_fips_180_prints() -> None:
    # FIPS 180-4 example "abc" (csrc.nist.gov, SHA256.pdf)
    assert sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_sha1_gives_what_fips_180_prints() -> None:
    # FIPS 180-4 example "abc" (csrc.nist.gov, SHA1.pdf)
    assert sha1_hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d"


def test_a_key_that_looks_like_hex_is_used_as_text() -> None:
    assert hmac_sha256_hex(Secret("0b0b0b0b"), "x") != hmac_sha256_hex(Secret("\x0b\x0b\x0b\x0b"), "x")
    assert hmac_sha256_hex(Secret("ABCDEF"), "x") != hmac_sha256_hex(Secret("abcdef"), "x")


def test_text_is_signed_as_utf_8() -> None:
    # printf 'é' | sha256sum, in a UTF-8 locale
    assert sha256_hex("é") == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"


def test_a_nonce_owes_nothing_to_a_chance_that_can_be_repeated() -> None:
    found = []
    for _ in range(2):
        random.seed(7)
        found.append(new_nonce())
    assert found[0] != found[1]
    assert len(found[0]) == 32


SIGNING_TESTS = ("test_hawk.py", "test_mor_hash.py", "test_skarabee.py", "test_kalliope.py")


def test_all_is_signed_the_same_wherever_the_machine_stands() -> None:
    """14 hours ahead of UTC: an hour of the machine's own in a signature would show."""
    names = "header or digest or created or sign or hash or vector"
    command = [sys.executable, "-m", "pytest", "-c", str(PROJECT / ".pytest.ini"), "--rootdir", str(PROJECT), "-q"]
    command += ["-p", "no:xdist", "-p", "no:cacheprovider", "-k", names, *(str(HERE / name) for name in SIGNING_TESTS)]
    elsewhere = {**os.environ, "TZ": "Pacific/Kiritimati", "CALLSIGN_TESTS_BRIEF": "1"}
    ran = subprocess.run(command, env=elsewhere, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert ran.returncode == 0, ran.stdout
    assert int(re.findall(r"(\d+) passed", ran.stdout)[-1]) >= 50  # a warning of somebody's may say "passed" too


def test_explained_keeps_what_the_administrator_compares() -> None:
    told = Explained("****:1", "ab", {"timestamp": "1"}, "SHA-256")
    assert (told.text, told.signature, told.values, told.method) == ("****:1", "ab", {"timestamp": "1"}, "SHA-256")
