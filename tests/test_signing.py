"""The digests, against the standards' own examples."""

from __future__ import annotations

from callsign.secret import Secret
from callsign.vendors.signing import Explained, hmac_sha256_hex, sha1_hex, sha256_hex


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


def test_explained_keeps_what_the_administrator_compares() -> None:
    told = Explained("****:1", "ab", {"timestamp": "1"}, "SHA-256")
    assert (told.text, told.signature, told.values, told.method) == ("****:1", "ab", {"timestamp": "1"}, "SHA-256")
