# SPDX-License-Identifier: Apache-2.0
import importlib.util
import sys
from pathlib import Path

import pytest

_here = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("service_client", _here / "client.py")
_client = sys.modules["service_client"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_client)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server shared by the tests of a file."""
    process = _client.ServerProcess(tmp_path_factory.mktemp("home"))
    yield process
    process.end()


@pytest.fixture
def client(server):
    return server.client()


@pytest.fixture
def launch(tmp_path):
    """Start servers of a test's own: launch(*options), on the same home each time."""
    started = []

    def start(*options, home=tmp_path / "home"):
        started.append(_client.ServerProcess(home, *options))
        return started[-1]
    yield start
    for process in started:
        process.end()
