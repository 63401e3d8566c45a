# SPDX-License-Identifier: Apache-2.0
"""What is said about GPUs that cannot be used, with made-up machines."""

from types import SimpleNamespace

import pytest
import torch

from milo.backend import devices, gpu
from milo.backend.machine import GIB
from milo.backend.service.probe import probe


@pytest.fixture
def machine(monkeypatch):
    """machine(...): one on which all is well but for what is given."""
    def make(driver=13010, cuda="13.0", available=True, capability=(8, 6), memory_gib=12.0, installed=gpu.NVRTC):
        properties = SimpleNamespace(name="GeForce Test", major=capability[0], minor=capability[1],
                                     total_memory=int(memory_gib * GIB))
        monkeypatch.setattr(gpu, "driver_version", lambda: driver)
        monkeypatch.setattr(gpu, "version", lambda name: "13.0" if name in installed else None)
        monkeypatch.setattr(torch.version, "cuda", cuda)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)

    return make


def test_a_machine_on_which_all_is_well(machine):
    machine()
    assert gpu.why_no_cuda() == ""
    assert devices.choose_device("auto") == "cuda" and devices.choose_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize("machine_is, words", [
    ({"cuda": None}, "torch is a CPU build"),
    ({"driver": None}, "no NVIDIA driver was found"),
    ({"driver": 12040, "available": False},
     "driver is made for CUDA 12.4, but 13.0 is needed (update it to 580 or newer)"),
    ({"available": False}, "no NVIDIA GPU was found"),
    ({"capability": (6, 1)}, "GeForce Test has compute capability 6.1, but 7.5 is needed (Turing, 2018, or newer)"),
    ({"memory_gib": 1.0}, "GeForce Test has 1.0 GiB of memory, but even a preview needs 2 GiB"),
    ({"installed": ["cuda-bindings"]}, "NVRTC is not installed (nvidia-cuda-nvrtc: pip install 'milo-blender[cuda]')"),
])
def test_what_is_missing_is_said_with_what_to_do(machine, monkeypatch, machine_is, words):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine(**machine_is)
    assert words in gpu.why_no_cuda()
    assert devices.choose_device("auto") == "cpu"
    with pytest.raises(ValueError, match="Use --device cpu, or see `milo doctor`"):
        devices.choose_device("cuda")


def test_a_hidden_gpu_is_not_a_missing_one(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    machine(available=False)
    assert gpu.why_no_cuda() == "no NVIDIA GPU was found (CUDA_VISIBLE_DEVICES is '')"


def test_the_panel_is_told_of_the_gpu_or_why_it_is_not_used(machine, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "GeForce Test")
    machine()
    assert "GPU GeForce Test" in probe()["device"] and "cuda" in probe()["capabilities"]
    machine(driver=12040)
    assert "GPU not used: the NVIDIA driver is made for CUDA 12.4" in probe()["device"]
    assert "cuda" not in probe()["capabilities"]
    machine(driver=None)
    assert "GPU" not in probe()["device"]


@pytest.mark.gpu
def test_this_machine_has_what_it_takes():
    assert gpu.driver_version() >= 13000 and gpu.why_no_cuda() == ""
