"""Loading other people's packages and checkpoints: late, safely, with messages that say what to do."""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vidfer.errors import MissingDependency, WeightsError
from vidfer.weights import check_file_size, in_brief

if TYPE_CHECKING:
    from torch import Tensor, nn


def import_module(name: str, *, needed_for: str) -> ModuleType:
    """Import a module that only some pipelines need.

    Raises
    ------
    MissingDependency
        If its package, or one that it needs, cannot be imported; says which and what to do.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        # The module that is missing, or the one asked for if it is there and does not load.
        missing = error.name if isinstance(error, ModuleNotFoundError) and error.name else name
        package = missing.partition(".")[0].replace("_", "-").replace("cv2", "opencv-python")
        detail = str(error)
        if "libGL" in detail or "libgthread" in detail:
            detail += "; install the system library (Debian, Ubuntu: apt install libgl1) or opencv-python-headless"
        extra = "face-alignment" if name.startswith(("face_alignment", "cv2")) else None
        raise MissingDependency(package, needed_for=needed_for, extra=extra, detail=detail) from error


def load_checkpoint(path: Path, network: nn.Module) -> None:
    """Load a ``torch.save``d state dict, or a checkpoint that holds one, into a network; never runs a file's code.

    Raises
    ------
    WeightsError
        If the file is damaged, holds more than tensors, or belongs to another network.
    """
    import torch

    _check_sizes(path)
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes PyTorch's reader fail in every way that Python knows
        raise WeightsError(f"{path}: expected a PyTorch file of plain tensors, got: {in_brief(error)}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]  # of a training's checkpoint
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path}: expected a PyTorch file of named tensors, got {type(state).__name__}")
    tensors: dict[str, Tensor] = {str(name).removeprefix("module."): value for name, value in state.items()}
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        kind = type(network).__name__
        raise WeightsError(f"{path}: expected weights of {kind}, got another network's: {in_brief(error)}") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise WeightsError(f"{path}: it holds values that are not finite: it is damaged")


def _check_sizes(path: Path) -> None:
    """Raise WeightsError where unpacking would take more memory than the file has bytes: PyTorch does not compress."""
    check_file_size(path)
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{path}: expected a PyTorch file of plain tensors, got: {in_brief(error)}") from error
    if unpacked > path.stat().st_size:
        raise WeightsError(f"{path}: expected a PyTorch file, which is not compressed; this one is, {unpacked} bytes")
