# SPDX-License-Identifier: Apache-2.0
import importlib.util
import sys
from pathlib import Path

import pytest


def _load(name: str, file: str):
    """A module that lies beside the tests; tests are not importable by their folder."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_client = _load("service_client", "client.py")
_load("fake_runner", "fake_runner.py")


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
