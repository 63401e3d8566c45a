# SPDX-License-Identifier: Apache-2.0
"""A client of another computer is let in by a code: over real sockets, with a key that it made itself."""

import json
import stat
import subprocess
import sys
import time

import pytest
import zmq
from service_client import Client
from zmq.utils import z85

from milo.backend.service import pairing as service
from milo.backend.service.keys import load_keys
from milo.protocol import PROTOCOL_VERSION, ProtocolError
from milo.protocol import messages as m
from milo.protocol.pairing import OpenPairing, Pair, read_code

HELLO = m.Hello("test", "0.1")


@pytest.fixture
def open_server(launch):
    """A server for all of this machine's addresses."""
    return launch("--host", "0.0.0.0")


def printed_code(server):
    assert "pair it with this backend" in server.process.stdout.readline()
    return read_code(server.process.stdout.readline())


@pytest.fixture
def connect():
    """connect(code, key pair or None for the code's own) -> Client"""
    clients = []

    def by(code, keys=None):
        secret = z85.encode(code.client_secret)
        public, secret = keys or (zmq.curve_public(secret).decode(), secret.decode())
        clients.append(Client({"address": f"tcp://{code.address}", "server_key": z85.encode(code.server_key).decode(),
                               "client_public": public, "client_secret": secret}))
        return clients[-1]
    yield by
    for client in clients:
        client.close()


def new_keys():
    return tuple(key.decode() for key in zmq.curve_keypair())


def test_a_code_lets_one_key_in_for_good(open_server, launch, connect):
    code, mine = printed_code(open_server), new_keys()
    host, _, port = code.address.rpartition(":")
    assert host != "0.0.0.0" and port == open_server.connection["address"].rpartition(":")[2]
    with_code = connect(code)
    assert with_code.ask(HELLO).protocol == PROTOCOL_VERSION
    assert with_code.ask(Pair(mine[0], "laptop")).name
    assert connect(code, mine).ask(m.ListJobs()) == m.Jobs(())

    kept = open_server.home / "keys" / "paired.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and mine[1] not in kept.read_text()
    assert [client["name"] for client in json.loads(kept.read_text())["clients"]] == ["laptop"]
    open_server.end()
    launch("--host", "0.0.0.0", "--port", port)
    assert connect(code, mine).ask(m.ListJobs()) == m.Jobs(())


def test_a_code_serves_once(open_server, connect):
    code = printed_code(open_server)
    first = connect(code)
    first.ask(Pair(new_keys()[0], "laptop"))
    for client in (first, connect(code)):
        with pytest.raises(ProtocolError, match="has been used already") as no:
            client.ask(Pair(new_keys()[0], "somebody"))
        assert "milo pair" in no.value.hint


def test_a_code_serves_for_pairing_alone(open_server, connect):
    client = connect(printed_code(open_server))
    for question in (m.ListJobs(), m.StopServer(), m.TailLog(), m.HaveBlobs(("0" * 64,))):
        with pytest.raises(ProtocolError, match="for pairing alone"):
            client.ask(question)
    with pytest.raises(ProtocolError, match="own computer"):
        client.ask(OpenPairing())


def test_what_a_code_sends_is_not_read_when_it_is_long(open_server, connect):
    client = connect(printed_code(open_server))
    client.socket.send_multipart([bytes(20_000)])      # no message at all: whoever reads it complains of that
    with pytest.raises(ProtocolError, match="for pairing alone"):
        client.receive(0)
    assert client.ask(HELLO).protocol == PROTOCOL_VERSION


def test_a_paired_client_does_not_stop_the_backend(open_server, connect):
    code, mine = printed_code(open_server), new_keys()
    connect(code).ask(Pair(mine[0], "laptop"))
    with pytest.raises(ProtocolError, match="Only the backend's own computer can stop it"):
        connect(code, mine).ask(m.StopServer())
    assert open_server.client().ask(HELLO).protocol == PROTOCOL_VERSION


def test_a_wrong_code_does_not_get_in(open_server, connect):
    code = printed_code(open_server)
    wrong = type(code)(code.address, code.server_key, bytes(16))
    with pytest.raises(TimeoutError):
        connect(wrong).ask(HELLO, 0.7)


def test_only_the_own_computer_makes_codes(open_server, connect):
    code, mine = printed_code(open_server), new_keys()
    connect(code).ask(Pair(mine[0], "laptop"))
    with pytest.raises(ProtocolError, match="own computer"):
        connect(code, mine).ask(OpenPairing())
    with pytest.raises(ProtocolError, match="let in already"):
        connect(code, mine).ask(Pair(new_keys()[0], "another"))
    opened = open_server.client().ask(OpenPairing("gpu.example.org:7000"))
    assert read_code(opened.code).address == "gpu.example.org:7000" and opened.valid_s == 900


def test_the_command_line_makes_codes(open_server, tmp_path):
    command = [sys.executable, "-m", "milo.backend.cli", "pair", "--home"]
    said = subprocess.run([*command, str(open_server.home)], capture_output=True, text=True, timeout=30)
    assert said.returncode == 0, said.stderr
    assert read_code(said.stdout).server_key == z85.decode(open_server.connection["server_key"])
    none = subprocess.run([*command, str(tmp_path / "nobody")], capture_output=True, text=True, timeout=30)
    assert none.returncode == 2 and "No backend runs" in none.stderr and "milo serve" in none.stderr


def test_a_code_expires(tmp_path, monkeypatch):
    pairing = service.Pairing(load_keys(tmp_path / "keys"), tmp_path, "127.0.0.1:5555")
    code = read_code(pairing.open().code)
    key = zmq.curve_public(z85.encode(code.client_secret)).decode()
    pairing.check(key, Pair("a" * 40, "laptop"))
    now = time.monotonic()
    monkeypatch.setattr(service.time, "monotonic", lambda: now + 901)
    assert pairing.may_connect(key)
    with pytest.raises(ProtocolError, match="has expired"):
        pairing.check(key, Pair("a" * 40, "laptop"))
    monkeypatch.setattr(service.time, "monotonic", lambda: now + 1801)
    assert not pairing.may_connect(key)


def test_a_used_code_is_let_in_no_more_after_a_while(tmp_path, monkeypatch):
    pairing = service.Pairing(load_keys(tmp_path / "keys"), tmp_path, "127.0.0.1:5555")
    key = zmq.curve_public(z85.encode(read_code(pairing.open().code).client_secret)).decode()
    pairing.admit(key, Pair("a" * 40, "laptop"))
    assert pairing.may_connect(key)
    now = time.monotonic()
    monkeypatch.setattr(service.time, "monotonic", lambda: now + 1801)
    assert not pairing.may_connect(key) and pairing.may_connect("a" * 40)


def test_a_server_of_this_computer_alone_prints_no_code(launch):
    server = launch()
    server.client().ask(m.StopServer())
    assert server.process.stdout.read() == ""
