# SPDX-License-Identifier: Apache-2.0
"""CUDA sources compiled by NVRTC for the GPU that is there, cached on disk, launched on torch's current stream.

    kernels = load("adam.cu", param.device)
    kernels.launch("sparse_adam", blocks(param.numel(), 256), 256, param, grad, param.numel(), 0.9)

A source has `extern "C" __global__` kernels, includes "common.cuh" and the shared maths headers by their names, and is
compiled once per scalar type (`Scalar` in the source). Nothing here waits for the GPU.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import torch

from milo.cuda_ext.native import native

_FOLDER = Path(__file__).parent
_SCALARS = {torch.float32: "float", torch.float64: "double"}
_OPTIONS = ("--std=c++17", "--generate-line-info")
OLDEST_DRIVER = 13000   # CUDA version times 1000
OLDEST_ARCH = 75


class CudaError(RuntimeError):
    """What is missing or failed, in a sentence that says what to do."""


def blocks(threads: int, per_block: int) -> int:
    """Blocks that hold so many threads, at least 1."""
    return max(1, -(-threads // per_block))


class Kernels:
    """The kernels of one source, loaded on one device, whose context is current."""

    def __init__(self, name: str, image: bytes, device: torch.device):
        driver = _driver()
        context = int(_checked(driver.cuCtxGetCurrent(), "find torch's context"))
        self._library = _checked(driver.cuLibraryLoadData(image, [], [], 0, [], [], 0), f"load {name}")
        count = _checked(driver.cuLibraryGetKernelCount(self._library), f"read {name}")
        self._kernels: dict[str, native.Kernel] = {}
        for found in _checked(driver.cuLibraryEnumerateKernels(count, self._library), f"read {name}"):
            kernel = _checked(driver.cuKernelGetName(found), f"read {name}").decode()
            sizes = _parameter_sizes(found)
            self._kernels[kernel] = native.Kernel(kernel, int(found), context, device.index, sizes, torch.Tensor)

    def launch(self, kernel: str, grid, block, *args, shared: int = 0) -> None:
        """Start a kernel on torch's current stream of the device, and return at once.

        Args:
            kernel: its name in the source.
            grid, block: int or tuple of up to three.
            args: in the kernel's order: a tensor on the device (contiguous; its data pointer is passed), None (a null
                pointer), bool, int or float (32 or 64 bits, as the kernel takes it; an int may be an address), or
                bytes: a struct as it lies in memory.
            shared: dynamic shared memory, bytes.

        Raises:
            ValueError: a tensor is on another device or not contiguous, or the arguments' number or sizes are not the
                kernel's.
            CudaError: the driver refuses the launch.
        """
        error = self._kernels[kernel].launch(grid, block, shared, args)
        if error:
            raise CudaError(f"CUDA cannot launch {kernel} with grid {grid} and block {block}: {error}.")


def _parameter_sizes(kernel) -> list[int]:
    """Bytes of each parameter."""
    driver, sizes = _driver(), []
    while True:
        result = driver.cuKernelGetParamInfo(kernel, len(sizes))
        if result[0] == driver.CUresult.CUDA_ERROR_INVALID_VALUE:   # there are no more
            return sizes
        _checked(result[:2], "read a kernel's parameters")
        sizes.append(result[2])


def carve(device: torch.device, *sizes: int) -> tuple[torch.Tensor, list[int]]:
    """Room for several arrays in one allocation: the tensor that holds them, and the address of each.

    Args:
        sizes: of the arrays, bytes.
    """
    begins, end = [], 0
    for size in sizes:
        begins.append(end)
        end += -(-size // 256) * 256
    room = torch.empty(end, dtype=torch.uint8, device=device)
    first = room.data_ptr()
    return room, [first + begin for begin in begins]


def load(source: str, device: torch.device, dtype: torch.dtype = torch.float32) -> Kernels:
    """The kernels of a source, compiled for the device unless its cache on disk has them.

    Args:
        source: file name, as in "adam.cu".
        device: a CUDA device.
        dtype: float32 or float64: what `Scalar` stands for.

    Raises:
        CudaError: NVRTC, the driver or the GPU cannot do it, or the source does not compile.
    """
    index = torch.cuda.current_device() if device.index is None else device.index
    return _load(source, index, dtype)


@functools.cache
def _load(source: str, index: int, dtype: torch.dtype) -> Kernels:
    device = torch.device("cuda", index)
    major, minor = torch.cuda.get_device_capability(device)
    arch = 10 * major + minor
    if arch < OLDEST_ARCH:
        raise CudaError(
            f"{torch.cuda.get_device_name(device)} has compute capability {major}.{minor}; 7.5 (Turing, 2018) or newer "
            "is needed: train on the CPU."
        )
    with torch.cuda.device(device):
        torch.zeros(1, device=device)   # torch makes the context and makes it current
        return Kernels(source, _cached(source, arch, dtype), device)


def sources() -> list[str]:
    """Names of all CUDA sources."""
    return sorted(path.name for path in _FOLDER.glob("*.cu"))


def compile_all(arch: int, dtype: torch.dtype = torch.float32) -> dict[str, bytes]:
    """Compile every source for an architecture such as 90; needs NVRTC, but neither a GPU nor a driver.

    Raises:
        CudaError: NVRTC is missing, or a source does not compile; the message has the compiler's.
    """
    return {name: _compile(name, arch, dtype) for name in sources()}


def _cached(source: str, arch: int, dtype: torch.dtype) -> bytes:
    """Machine code from the disk, or compiled and left there for the next process."""
    key = hashlib.sha256()
    for name, text in sorted({**_headers(), source: _text(source)}.items()):
        key.update(f"{name}\0{len(text)}\0".encode() + text)
    key.update(repr((arch, _options(arch, dtype), _nvrtc_version())).encode())
    path = _cache_folder() / f"{Path(source).stem}-{_SCALARS[dtype]}-sm{arch}-{key.hexdigest()[:32]}.cubin"
    try:
        return path.read_bytes()
    except OSError:
        image = _compile(source, arch, dtype)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(image)
        os.replace(file.name, path)   # two processes may do this at once: each leaves a whole file
    except OSError:
        pass   # a home without room or rights costs a compilation each time, no more
    return image


def _compile(source: str, arch: int, dtype: torch.dtype) -> bytes:
    nvrtc = _nvrtc()
    headers = _headers()
    program = _checked(
        nvrtc.nvrtcCreateProgram(
            _text(source), source.encode(), len(headers), list(headers.values()), [name.encode() for name in headers]
        ),
        f"read {source}",
    )
    try:
        options = [option.encode() for option in _options(arch, dtype)]
        (result,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if int(result) != 0:
            log = b" " * _checked(nvrtc.nvrtcGetProgramLogSize(program), f"compile {source}")
            nvrtc.nvrtcGetProgramLog(program, log)
            message = log.decode(errors="replace").rstrip("\0 \n")
            raise CudaError(f"NVRTC cannot compile {source} for architecture {arch}:\n{message}")
        size, get = (
            (nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
            if arch in _architectures()
            else (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
        )
        image = b" " * _checked(size(program), f"compile {source}")
        _checked(get(program, image), f"compile {source}")
        return image
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _options(arch: int, dtype: torch.dtype) -> tuple[str, ...]:
    known = _architectures()
    # A GPU newer than this NVRTC gets code of the newest one known, which its driver translates.
    target = f"sm_{arch}" if arch in known else f"compute_{max((a for a in known if a < arch), default=max(known))}"
    return (*_OPTIONS, f"--gpu-architecture={target}", f"--define-macro=MILO_SCALAR={_SCALARS[dtype]}")


def _text(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


@functools.cache
def _headers() -> dict[str, bytes]:
    """Headers by the names that sources include them by."""
    paths = [*sorted(_FOLDER.glob("*.cuh")), *sorted((_FOLDER.parent / "math").glob("*.h"))]
    return {path.name: path.read_bytes() for path in paths}


def _cache_folder() -> Path:
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "milo" / "kernels"


@functools.cache
def _nvrtc():
    try:
        from cuda.bindings import nvrtc

        _preload_nvrtc()
        nvrtc.nvrtcVersion()
    except Exception as error:
        raise CudaError(
            f"NVRTC, the compiler of the CUDA kernels, is missing ({error}): install it with "
            "pip install 'milo-blender[cuda]'."
        ) from error
    return nvrtc


def _preload_nvrtc() -> None:
    """Load the compiler from wherever Python finds its package: the bindings look into site-packages alone."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        library = Path(folder, "cu13", "lib", "libnvrtc.so.13")
        if library.exists():
            ctypes.CDLL(str(library))
            return


@functools.cache
def _driver():
    try:
        from cuda.bindings import driver

        _checked(driver.cuInit(0), "start the driver")
        version = _checked(driver.cuDriverGetVersion(), "ask the driver for its version")
    except Exception as error:
        raise CudaError(
            f"The NVIDIA driver cannot be used ({error}): install a driver, and pip install 'milo-blender[cuda]'."
        ) from error
    if version < OLDEST_DRIVER:
        raise CudaError(
            f"The NVIDIA driver is made for CUDA {version // 1000}.{version % 1000 // 10}, but 13.0 is needed: update "
            "the driver to 580 or newer."
        )
    return driver


@functools.cache
def _nvrtc_version() -> tuple[int, int]:
    _, major, minor = _nvrtc().nvrtcVersion()
    return major, minor


@functools.cache
def _architectures() -> frozenset[int]:
    return frozenset(_checked(_nvrtc().nvrtcGetSupportedArchs(), "ask NVRTC for its architectures"))


def _checked(result, what: str):
    """The value of a call's (error, value...) tuple."""
    error, *values = result
    if int(error) != 0:
        raise CudaError(f"CUDA cannot {what}: {error.name}.")
    return values[0] if values else None
