# SPDX-License-Identifier: Apache-2.0
import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread():
    """The tensors of these tests are small: torch's own threads cost more than they give, above all on a busy box."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """Where ops run. Tests of what only the CPU driver promises say `@pytest.mark.parametrize("device", ["cpu"])`."""
    return request.param


class _OnDevice:
    """A module of ops that takes and returns tensors on the CPU, but computes on another device.

    So one test holds every driver to the same numbers. Gradients pass through the moves; what an op changes in place is
    copied back.
    """

    def __init__(self, module, device):
        self._module = module
        self._device = device

    def __getattr__(self, name):
        op = getattr(self._module, name)
        if not callable(op):
            return op

        def on_device(*args, **kwargs):
            moved = {}

            def there(value):
                if not isinstance(value, torch.Tensor):
                    return _map(there, value)
                if id(value) not in moved:
                    moved[id(value)] = value, value.to(self._device)
                return moved[id(value)][1]

            result = op(*_map(there, args), **{key: there(value) for key, value in kwargs.items()})
            for original, copy in moved.values():
                if not torch.equal(original.detach().nan_to_num(), copy.detach().cpu().nan_to_num()):
                    original.detach().copy_(copy.detach())
            return _to_cpu(result)

        return on_device


def _map(function, value):
    if isinstance(value, tuple):
        items = [function(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value


def _to_cpu(value):
    return value.cpu() if isinstance(value, torch.Tensor) else _map(_to_cpu, value)


@pytest.fixture
def run_on(device, monkeypatch):
    """run_on(test module's globals, "name"): the ops of the module of that name run on the device."""

    def replace(namespace, name):
        if device != "cpu":
            monkeypatch.setitem(namespace, name, _OnDevice(namespace[name], device))

    return replace
