"""Which device networks run on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vidfer.errors import ConfigError

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called ``auto`` (CUDA if there is one), ``cpu`` or ``cuda[:i]``.

    Raises
    ------
    ConfigError
        A CUDA device is asked for that is not there.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(f"--device {name}: torch sees {count} CUDA devices here; use --device auto or cpu")
    return device


def bfloat16_is_fast(device: torch.device) -> bool:
    """Return whether matrices are multiplied faster in bfloat16 than in float32 (AVX-512 BF16, AMX, recent GPUs)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported())


def num_threads(device: torch.device | None) -> int:
    """Return on how many threads networks may run; ``device`` is None where ONNX Runtime runs them."""
    if device is None:
        wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
        return int(wanted) if wanted.isdigit() and int(wanted) else os.cpu_count() or 1
    import torch

    return torch.get_num_threads()


def use_threads(device: torch.device | None, count: int) -> None:
    """Let PyTorch use so many threads; ONNX Runtime has one for each call in any case."""
    if device is not None:
        import torch

        torch.set_num_threads(count)


def leave_a_core(device: torch.device | None, cpus: int) -> None:
    """Let PyTorch use few threads of a machine with ``cpus`` cores.

    For frames and pictures that come one by one: their small pictures do not divide well among cores, and somebody has
    to decode, or to answer clients, meanwhile.
    """
    use_threads(device, max(1, min(num_threads(device), cpus - 1, 4)))
