# SPDX-License-Identifier: Apache-2.0
"""Arguments of a launch: what is checked before the driver sees them, and what a kernel receives."""

import struct
import threading

import pytest
import torch

from milo.cuda_ext.cuda import runtime
from milo.cuda_ext.native import native

KERNEL = b"""
#include "common.cuh"
struct Item { const float* data; int count; float scale; bool flag; };
KERNEL echo(Item item, double wide, long long large, unsigned word, bool flag, const float* nothing, double* out) {
    const double seen[] = {item.data[1], double(item.count), item.scale, double(item.flag), wide, double(large),
                           double(word), double(flag), double(nothing == nullptr), double(gridDim.y * blockDim.z)};
    if (milo::thread_index() == 0 && blockIdx.y == 0 && threadIdx.z == 0) for (int k = 0; k < 10; ++k) out[k] = seen[k];
}
"""


@pytest.mark.parametrize(("arguments", "message"), [
    ((None, 1, 2.0, True, 3), "draw takes 4 arguments, not 5"),
    ((torch.zeros(2), 1, 2.0, True), "argument 0 of draw must be contiguous on cuda:0, not on cpu with strides (1,)"),
    ((None, "1", 2.0, True), "argument 1 of draw is str, which is no kernel type"),
    ((None, None, 2.0, True), "argument 1 of draw is NoneType, but the kernel takes 4 bytes there"),
    ((None, 1, 2.0, 1), "argument 3 of draw is int, but the kernel takes 1 bytes there"),
    ((b"abc", 1, 2.0, True), "argument 0 of draw has another size than the kernel's 8 bytes"),
])  # fmt: skip
def test_what_a_kernel_cannot_take_is_named(arguments, message):
    kernel = native.Kernel("draw", 0, 0, 0, [8, 4, 8, 1], torch.Tensor)
    with pytest.raises(ValueError) as raised:
        kernel.launch(1, 32, 0, arguments)
    assert str(raised.value) == message + "."


@pytest.fixture
def echo(monkeypatch):
    """Launches KERNEL and returns what it has seen."""
    device = torch.device("cuda", 0)
    out = torch.zeros(10, dtype=torch.float64, device=device)
    monkeypatch.setattr(runtime, "_text", lambda name: KERNEL)
    major, minor = torch.cuda.get_device_capability(device)
    kernels = runtime.Kernels("echo.cu", runtime._compile("echo.cu", 10 * major + minor, torch.float32), device)

    def launch(*arguments, grid=(1, 3), block=(32, 1, 2)):
        kernels.launch("echo", grid, block, *arguments, out)
        return out.tolist()

    return launch


def item(data, count=1, scale=1.0, flag=True):
    """An Item of KERNEL."""
    return struct.pack("Pif?7x", data.data_ptr(), count, scale, flag)


@pytest.mark.gpu
def test_a_kernel_receives_structs_and_numbers_of_any_width(echo):
    data = torch.tensor([1.0, 2.5], device="cuda")
    seen = echo(item(data, -7, 0.25), 0.1, -(2**40), 2**32 - 1, True, None)
    assert seen == [2.5, -7, 0.25, 1, 0.1, -(2**40), 2**32 - 1, 1, 1, 6]
    seen = echo(item(data, 3, -1.0, False), float("inf"), 5, 6, False, data[:].requires_grad_())
    assert seen == [2.5, 3, -1, 0, float("inf"), 5, 6, 0, 0, 6]


@pytest.mark.gpu
def test_a_thread_new_to_the_gpu_launches_too(echo):
    data, seen = torch.tensor([1.0, 2.5], device="cuda"), []
    thread = threading.Thread(target=lambda: seen.append(echo(item(data), 1.0, 1, 1, True, None)))
    thread.start()
    thread.join()
    assert seen[0][0] == 2.5


@pytest.mark.gpu
def test_what_the_driver_refuses_is_said(echo):
    data = torch.zeros(2, device="cuda")
    with pytest.raises(runtime.CudaError, match=r"CUDA cannot launch echo with grid 1 and block \(2048, 1, 1\): "
                                                "CUDA_ERROR_INVALID_VALUE"):
        echo(item(data), 1.0, 1, 1, True, None, grid=1, block=(2048, 1, 1))
    with pytest.raises(ValueError, match="must be contiguous on cuda:0, not on cuda:0 with strides"):
        echo(item(data), 1.0, 1, 1, True, torch.zeros(2, 2, device="cuda").T)
