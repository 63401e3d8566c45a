# SPDX-License-Identifier: Apache-2.0
"""Every CUDA source compiles for every architecture, on a machine without a GPU."""

import sys

import pytest
import torch

from milo.cuda_ext.cuda import runtime

if sys.platform == "darwin":   # there is no NVRTC for it; elsewhere `make test` brings it
    pytest.skip("NVRTC does not exist for macOS.", allow_module_level=True)


@pytest.mark.parametrize("arch", [75, 80, 86, 89, 90, 100, 120])
def test_every_source_compiles(arch):
    images = runtime.compile_all(arch)
    assert "adam.cu" in images
    for name, image in images.items():
        assert image[:4] == b"\x7fELF", f"{name} is no machine code"


def test_every_source_compiles_for_float64():
    assert len(runtime.compile_all(90, torch.float64)) == len(runtime.sources())


def test_a_gpu_newer_than_the_compiler_gets_code_its_driver_can_translate():
    image = runtime._compile("adam.cu", 999, torch.float32)
    assert b".target sm_" in image and b".visible .entry sparse_adam" in image


def test_what_does_not_compile_is_named(monkeypatch):
    monkeypatch.setattr(runtime, "_text", lambda name: b'#include "common.cuh"\nKERNEL broken() { nonsense; }')
    with pytest.raises(runtime.CudaError, match=r"cannot compile adam.cu for architecture 90:[^$]*nonsense"):
        runtime._compile("adam.cu", 90, torch.float32)


def test_machine_code_is_kept_between_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "_cache_folder", lambda: tmp_path / "kernels")
    first = runtime._cached("adam.cu", 90, torch.float32)
    (kept,) = (tmp_path / "kernels").iterdir()
    assert kept.read_bytes() == first

    def fail(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(runtime, "_compile", fail)
    assert runtime._cached("adam.cu", 90, torch.float32) == first
    monkeypatch.setattr(runtime, "_headers", lambda: {"common.cuh": b"other"})
    with pytest.raises(AssertionError, match="compiled again"):
        runtime._cached("adam.cu", 90, torch.float32)   # a header changed


def test_a_machine_without_the_compiler_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    runtime._nvrtc.cache_clear()
    try:
        with pytest.raises(runtime.CudaError, match=r"pip install 'milo-blender\[cuda\]'"):
            runtime._nvrtc()
    finally:
        runtime._nvrtc.cache_clear()
