# SPDX-License-Identifier: Apache-2.0
"""The text of a pairing code: what is pasted is read, what is not whole is refused."""

import pytest

from milo.protocol.pairing import PairingCode, read_code

CODE = PairingCode("gpu.example.org:5555", bytes(range(32)), bytes(range(100, 116)))


@pytest.mark.parametrize("address", ["192.168.1.20:5555", "gpu.example.org:1", "[fe80::1]:5555"])
def test_round_trip(address):
    code = PairingCode(address, CODE.server_key, CODE.secret)
    assert read_code(f"Paste this:\n  {code.text}  \n") == code


def test_a_code_that_is_cut_or_mistyped_is_refused():
    for wrong in (CODE.text[:-1], CODE.text[:-5], CODE.text.replace("AAEC", "AAED"), "milo://gpu:5555/a"):
        with pytest.raises(ValueError, match="not complete"):
            read_code(wrong)
    for wrong in ("", "gpu.example.org:5555", "http://gpu.example.org:5555/" + CODE.text[-68:]):
        with pytest.raises(ValueError, match="begins with milo://"):
            read_code(wrong)


def test_the_keys_of_a_code_depend_on_all_of_its_secret():
    other = PairingCode(CODE.address, CODE.server_key, CODE.secret[:-1] + b"\0")
    assert len(CODE.client_secret) == 32 and CODE.client_secret != other.client_secret
    assert len(CODE.text) == len("milo://gpu.example.org:5555/") + 68
