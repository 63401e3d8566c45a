# SPDX-License-Identifier: Apache-2.0
"""Who gets in, and how the server begins and ends."""

import json
import os
import stat
import subprocess
import sys
import time

import msgpack
import pytest
import zmq
from service_client import Client

from milo.protocol import PROTOCOL_VERSION, ProtocolError, pack
from milo.protocol import messages as m

HELLO = m.Hello("test", "0.1")


def test_a_client_is_welcomed(server, client):
    assert server.ready_line == f"ready {server.connection['address']}\n"
    welcome = client.ask(HELLO)
    assert welcome.protocol == PROTOCOL_VERSION
    assert welcome.jobs_dir == str(server.home / "jobs")


def test_the_server_starts_without_torch_and_fast(server):
    """Neither the server's own imports nor the running process know torch, scipy or Pillow."""
    code = ("import sys, time; t = time.perf_counter(); import milo.backend.service.server; "
            "assert time.perf_counter() - t < 3; print([n for n in ('torch', 'scipy', 'PIL') if n in sys.modules])")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"
    maps = f"/proc/{server.process.pid}/maps"
    if os.path.exists(maps):
        with open(maps) as file:
            assert "torch" not in file.read()
    assert server.started_s < 5     # 0.4 s on an idle machine; the tests' own may be busy


def test_the_device_is_known_after_a_while(client):
    deadline = time.monotonic() + 60
    while (welcome := client.ask(HELLO)).device == "probing" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert welcome.device.startswith("CPU, ")
    assert "reconstruct" in welcome.capabilities


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_secrets_are_for_the_owner_only(server):
    for path in (server.home / "connection.json", *(server.home / "keys").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((server.home / "keys").stat().st_mode) == 0o700
    assert server.connection["pid"] == server.process.pid
    assert server.connection["server_key"] not in (server.home / "keys" / "client.json").read_text()


def refused_in_the_handshake(client) -> int:
    """The event by which a socket learns that it is not let in."""
    monitor = client.socket.get_monitor_socket()
    client.send(HELLO)
    deadline = time.monotonic() + 5
    failures = {zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
                zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL}
    event = 0
    while event not in failures and time.monotonic() < deadline:
        if monitor.poll(100):
            event = int.from_bytes(monitor.recv_multipart()[0][:2], "little")
    assert not client.socket.poll(200)
    client.socket.disable_monitor()
    monitor.close()
    return event


def test_an_unknown_client_key_is_refused(server):
    public, secret = (key.decode() for key in zmq.curve_keypair())
    client = server.client(client_public=public, client_secret=secret)
    assert refused_in_the_handshake(client) == zmq.EVENT_HANDSHAKE_FAILED_AUTH


def test_a_server_with_another_key_is_not_spoken_to(server):
    public, _ = (key.decode() for key in zmq.curve_keypair())
    client = server.client(server_key=public)
    with pytest.raises(TimeoutError):
        client.ask(HELLO, 0.7)


def test_plain_sockets_get_nothing(server):
    with zmq.Context() as context, context.socket(zmq.DEALER) as plain:
        plain.linger = 0
        plain.connect(server.connection["address"])
        plain.send_multipart(pack(HELLO, 1))
        assert not plain.poll(500)


def test_another_version_is_refused_readably(client):
    with pytest.raises(ProtocolError, match=r"speaks version 99 of .* this backend .* version \d") as no:
        client.ask(m.Hello("extension", "9.0", protocol=99))
    assert no.value.code == "version_mismatch"
    assert "Update the backend" in no.value.hint
    envelope = {"v": 99, "id": 77, "type": "job.get", "body": {"job": "a"}, "arrays": []}
    client.socket.send_multipart([msgpack.packb(envelope)])
    with pytest.raises(ProtocolError) as no:
        client.receive(77)
    assert no.value.code == "version_mismatch"


def test_rubbish_is_answered_and_harms_nobody(client):
    client.socket.send_multipart([b"\xdd\xff\xff\xff\xff"])
    with pytest.raises(ProtocolError) as no:
        client.receive(0)
    assert no.value.code == "bad_message"
    with pytest.raises(ProtocolError, match="Nothing is an answer, not a request"):
        client.ask(m.Nothing())
    with pytest.raises(ProtocolError) as no:
        client.ask(m.GetJob("nobody"))
    assert no.value.code == "unknown_job"
    assert client.ask(HELLO).protocol == PROTOCOL_VERSION


def test_two_servers_do_not_share_a_home(server):
    command = [sys.executable, "-m", "milo.backend.service", "--home", str(server.home)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert second.returncode == 2
    assert "Another server already uses" in second.stderr


def test_an_address_in_use_is_said_in_a_sentence(server, tmp_path):
    port = server.connection["address"].rpartition(":")[2]
    command = [sys.executable, "-m", "milo.backend.service", "--home", str(tmp_path), "--port", port]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert second.returncode == 2
    assert second.stderr == (f"127.0.0.1:{port} cannot be listened on: Address already in use "
                             f"(addr='tcp://127.0.0.1:{port}'). Choose another --host or --port.\n")


def test_stop_ends_the_server_and_its_connection_file(launch):
    server = launch()
    connection = server.connection
    assert server.client().ask(m.StopServer()) == m.Ok()
    assert server.process.wait(5) == 0
    assert not (server.home / "connection.json").exists()

    again = launch()      # the same keys: a client that has the old file is let in at the new address
    client = Client(connection | {"address": again.connection["address"]})
    assert client.ask(HELLO).protocol == PROTOCOL_VERSION
    client.close()


def test_the_server_ends_with_its_parent(launch, tmp_path):
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    server = launch("--parent", str(owner.pid))
    assert server.client().ask(HELLO)
    owner.kill()
    owner.wait()
    assert server.process.wait(6) == 0
    owner.stdin.close()


def test_a_half_written_connection_file_never_shows(server):
    """It is written beside and renamed: only whole files carry the name."""
    assert [p.name for p in server.home.iterdir() if p.name.startswith(".")] == []
    assert set(json.loads((server.home / "connection.json").read_text())) == {
        "format", "address", "server_key", "client_public", "client_secret", "pid", "version"}
