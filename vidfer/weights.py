"""Which weight files exist, by digest, and where they are found.

The search order is: the file inside the package, ``$VIDFER_WEIGHTS``, the user's cache folder. Nothing is ever
downloaded: where a pipeline names a model whose file is not there, the error says which file to fetch, from where, and
where to put it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from vidfer.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

ComponentKind = Literal["detector", "landmarks", "quality", "backbone", "temporal", "movements", "identity"]

MAX_FILE_BYTES = 1 << 30  # the largest network here, VGG-19, has 287 MB as vidfer saves it
_MAX_SIZE = 4096  # channels, layers, pixels
_MAX_DESCRIPTION = 200  # values

_SETTINGS: dict[ComponentKind, str] = {
    "detector": "faces.detector_weights",
    "landmarks": "faces.landmark_weights",
    "quality": "faces.quality_weights",
    "backbone": "backbone.weights",
    "temporal": "temporal.weights",
    "movements": "movements.weights",
    "identity": "people.weights",
}

ModuleT = TypeVar("ModuleT", bound="nn.Module")


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """One file of weights.

    Attributes
    ----------
    kind, name
        The component that uses it, as in a pipeline file.
    filename
        In the package's ``assets`` folder if ``url`` is empty, else what to call it in the user's folder.
    sha256
        Of the whole file, hex, or its first digits; empty where the publisher's file was never seen.
    url
        Where to get it; empty for an embedded file.
    """

    kind: ComponentKind
    name: str
    filename: str
    sha256: str
    url: str = ""


TABLE: tuple[WeightFile, ...] = (
    WeightFile(
        kind="detector",
        name="embedded",
        filename="detector.safetensors",
        sha256="f5d312ce4771335bcae462b53915277961f4654777a6b2a0ce6faa13aa13c069",
    ),
    WeightFile(
        kind="landmarks",
        name="embedded",
        filename="landmarks.safetensors",
        sha256="01c54a86a3ca710173bd8c098ea33cc1f9cae729960909b2cd2101575ec974fe",
    ),
    WeightFile(
        kind="quality",
        name="embedded",
        filename="quality.safetensors",
        sha256="ba08191bfa843551653b0e80aa57f62857df1ee47820a8328775647983a6e863",
    ),
    WeightFile(
        kind="backbone",
        name="compact",
        filename="emotion_cnn.safetensors",
        sha256="0810968f2f6763f8abd134995f0925deb71c1bb7619413625060bfd0483722dd",
    ),
    WeightFile(
        kind="identity",
        name="embedded",
        filename="identity.safetensors",
        sha256="fc52416bb18fb5c072aad0e517eeca09fb0c61138cce4954b860237a74ef636a",
    ),
    # Third-party networks, for pipelines that name them. Of SFD and FAN-4 only the start of the digest is known: it is
    # part of their publisher's file names.
    WeightFile(
        kind="detector",
        name="sfd",
        filename="s3fd-619a316812.pth",
        sha256="619a316812",
        url="https://www.adrianbulat.com/downloads/python-fan/s3fd-619a316812.pth",
    ),
    WeightFile(
        kind="detector",
        name="blazeface",
        filename="blazeface.pth",
        sha256="54ecff653feaaaf1f7d44b6aff28fd2fc50e483a4e847563b6dd261369c43ba4",
        url="https://github.com/hollance/BlazeFace-PyTorch/raw/master/blazeface.pth",
    ),
    WeightFile(
        kind="detector",
        name="blazeface",
        filename="anchors.npy",
        sha256="a10bb2fb93ab54ca426d6c750bfc3aad685028a16dcf231357d03694f261fd95",
        url="https://github.com/hollance/BlazeFace-PyTorch/raw/master/anchors.npy",
    ),
    WeightFile(
        kind="detector",
        name="retinaface",
        filename="retinaface_mobilenet0.25.pth",
        sha256="5f88f7957d9eaef82b49b9e0202bc56e97292e2aede2999209accd34442cc4df",
        url="https://www.adrianbulat.com/downloads/python-fan/retinaface_mobilenet0.25.pth",
    ),
    WeightFile(
        kind="detector",
        name="scrfd",
        filename="det_2.5g.onnx",
        sha256="",
        url="https://github.com/yakhyo/facial-analysis/releases/download/v0.0.1/det_2.5g.onnx",
    ),
    # Inside the wheel of facenet-pytorch 2.6.0 (MIT), too: facenet_pytorch/data.
    WeightFile(
        kind="detector",
        name="mtcnn",
        filename="pnet.pt",
        sha256="a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
        url="https://github.com/timesler/facenet-pytorch/raw/master/data/pnet.pt",
    ),
    WeightFile(
        kind="detector",
        name="mtcnn",
        filename="rnet.pt",
        sha256="bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
        url="https://github.com/timesler/facenet-pytorch/raw/master/data/rnet.pt",
    ),
    WeightFile(
        kind="detector",
        name="mtcnn",
        filename="onet.pt",
        sha256="165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
        url="https://github.com/timesler/facenet-pytorch/raw/master/data/onet.pt",
    ),
    WeightFile(
        kind="detector",
        name="yunet",
        filename="yunet_n_640_640.onnx",
        sha256="25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31",
        url="https://github.com/ShiqiYu/libfacedetection.train/raw/master/onnx/yunet_n_640_640.onnx",
    ),
    WeightFile(
        kind="landmarks",
        name="2dfan4",
        filename="2DFAN4-11f355bf06.pth.tar",
        sha256="11f355bf06",
        url="https://www.adrianbulat.com/downloads/python-fan/2DFAN4-11f355bf06.pth.tar",
    ),
    WeightFile(
        kind="landmarks",
        name="3dfan4",
        filename="3DFAN4-7835d9f11d.pth.tar",
        sha256="7835d9f11d",
        url="https://www.adrianbulat.com/downloads/python-fan/3DFAN4-7835d9f11d.pth.tar",
    ),
    WeightFile(
        kind="landmarks",
        name="3dfan4_depth",
        filename="depth-2a464da4ea.pth.tar",
        sha256="2a464da4ea",
        url="https://www.adrianbulat.com/downloads/python-fan/depth-2a464da4ea.pth.tar",
    ),
    WeightFile(
        kind="temporal",
        name="gru",
        filename="temporal_gru.safetensors",
        sha256="8275676b871393c568188e7d91a609ba873f393fef9698ae32471a6e18649cee",
    ),
    WeightFile(
        kind="temporal",
        name="gru_causal",
        filename="temporal_gru_causal.safetensors",
        sha256="4bb65732eddef3b9ea0e721805e5a93f3d3810bb8c22de34244e8fe985c5932d",
    ),
    WeightFile(
        kind="movements",
        name="embedded",
        filename="movements.safetensors",
        sha256="144e10dc7d2bc55872fc596a95dd0cd07df5cc4f93e441f42137e087a113f8bb",
    ),
)


def files_of(kind: ComponentKind, name: str) -> tuple[WeightFile, ...]:
    """Return the files that a component uses; empty for one that has no weights."""
    return tuple(file for file in TABLE if (file.kind, file.name) == (kind, name))


def digests(kind: ComponentKind, name: str, own_file: str = "") -> tuple[str, ...]:
    """Return what identifies a component's weights in a cache key, without reading the embedded ones."""
    if own_file:
        return (file_digest(Path(own_file)),)
    return tuple(file.sha256 or file.filename for file in files_of(kind, name))


def locate(kind: ComponentKind, name: str, own_file: str = "") -> list[Path]:
    """Return the verified paths of a component's weights.

    Parameters
    ----------
    kind, name
        The component.
    own_file
        The user's own file from the pipeline; replaces the table's.

    Raises
    ------
    WeightsError
        If a file is missing or its content is not what the table says.
    """
    if own_file:
        path = Path(own_file).expanduser()
        if not path.is_file():
            raise WeightsError(f"weights for the {kind} {name!r}: {path} does not exist")
        return [path]
    found = []
    for file in files_of(kind, name):
        path = _find(file)
        if file.sha256 and not file_digest(path).startswith(file.sha256):
            raise WeightsError(
                f"{path} is damaged or another version: expected sha256 {file.sha256}, got {file_digest(path)}; "
                + (f"fetch it again from {file.url}" if file.url else "reinstall vidfer")
            )
        found.append(path)
    if not found:
        raise WeightsError(f"the {kind} {name!r} has no weights of its own; set {_SETTINGS[kind]} to a file")
    return found


def assets_folder() -> Path:
    """Return the folder of the embedded weights and their model cards."""
    return Path(str(resources.files("vidfer"))) / "assets"


def user_folders() -> list[Path]:
    """Return the folders searched for weights that are not embedded, in order."""
    folders = []
    if os.environ.get("VIDFER_WEIGHTS"):
        folders.append(Path(os.environ["VIDFER_WEIGHTS"]).expanduser())
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folders.append(cache_home / "vidfer" / "weights")
    return folders


def file_digest(path: Path) -> str:
    """Return the sha256 of a file in hex; raises WeightsError if it cannot be read."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a device or a pipe might never end
            raise _unreadable(path, "expected a file")
        return _digest(path, found.st_size, found.st_mtime_ns)
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        raise _unreadable(path, getattr(error, "strerror", error)) from error


@cache
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write weights as safetensors: floats as float16, ``metadata`` (JSON: recipe, input spec, figures) in the head."""
    import torch
    from safetensors.torch import save

    halved = {
        name: (t.detach().cpu().to(torch.float16) if t.is_floating_point() else t.detach().cpu()).contiguous()
        for name, t in tensors.items()
    }
    data = save(halved, {"vidfer": json.dumps(metadata, sort_keys=True)})
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    temporary.replace(path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights written by ``save_tensors``: float32 tensors by name, and the metadata.

    Raises
    ------
    WeightsError
        If the file is no safetensors file of vidfer's, damaged or cut short.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    check_file_size(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})["vidfer"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if not isinstance(metadata, dict):
            raise ValueError("its metadata is no table")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"{path}: expected weights saved by vidfer (safetensors), got {_found_instead(path, error)}"
        ) from error
    for name, tensor in tensors.items():
        if tensor.dtype not in (torch.float16, torch.float32, torch.int64):
            raise WeightsError(f"{path}: expected floats saved by vidfer, got {name} as {tensor.dtype}")
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: its tensor {name} holds values that are not finite: it is damaged")
    return {name: t.float() if t.dtype == torch.float16 else t for name, t in tensors.items()}, metadata


def mean_weights(paths: Sequence[Path]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the mean of files of one network (model soups, Wortsman et al. 2022, arXiv:2203.05482).

    Returns
    -------
    As `load_tensors`; integer tensors and the metadata are the first file's.

    Raises
    ------
    WeightsError
        As `load_tensors`, and if the files are not of the same network.
    """
    mean, metadata = load_tensors(paths[0])
    for count, path in enumerate(paths[1:], start=2):
        tensors, _ = load_tensors(path)
        if {name: t.shape for name, t in tensors.items()} != {name: t.shape for name, t in mean.items()}:
            raise WeightsError(f"{path}: expected weights of the same network as {paths[0]}, got others")
        for name, tensor in mean.items():
            if tensor.is_floating_point():
                tensor += (tensors[name] - tensor) / count
    return mean, metadata


def check_file_size(path: Path) -> None:
    """Raise WeightsError for a file larger than any network that vidfer knows, or one that cannot be read."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error.strerror) from error
    if size > MAX_FILE_BYTES:
        raise WeightsError(f"{path}: expected weights of at most {MAX_FILE_BYTES >> 20} MB, got {size >> 20} MB")


def check_description(options: Any, *, source: str | Path) -> None:
    """Refuse a description of a network whose numbers no network has, before anything is built from it.

    Raises
    ------
    WeightsError
        A number is too large or not finite, or there are too many.
    """
    numbers: list[Any] = [options]
    for item in numbers:  # grows while it is read
        if len(numbers) > _MAX_DESCRIPTION:
            raise WeightsError(f"{source}: its description of the network is too long: it is damaged")
        if isinstance(item, dict | list | tuple):
            numbers += item.values() if isinstance(item, dict) else item
        elif isinstance(item, int | float) and not abs(item) <= _MAX_SIZE:
            raise WeightsError(f"{source}: its description of the network says {item}: it is damaged")


def fill(build: Callable[[], ModuleT], tensors: dict[str, Tensor]) -> ModuleT:
    """Build a network and fill it with tensors; sizes are compared before memory is taken.

    Raises
    ------
    ValueError
        The tensors are not those of the network.
    """
    import torch

    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != expected:
        name = min(name for name, _ in expected.items() ^ found.items())
        where = expected.get(name, "not part of it"), found.get(name, "missing")
        raise ValueError(f"{name} is {where[0]} in the network and {where[1]} in the file")
    network = build()
    network.load_state_dict(tensors)
    return network


def described_network(
    model: str,
    build: Callable[..., ModuleT],
    tensors: dict[str, Tensor],
    metadata: Mapping[str, Any],
    *,
    source: Path,
    check: Callable[[ModuleT], None] = lambda network: None,
) -> ModuleT:
    """Return the network that a weight file describes, in evaluation mode.

    Parameters
    ----------
    model
        What the file says it holds: the name of its ``vidfer train`` command.
    build
        Takes what the file says of the network as keyword arguments.
    check
        Raises ValueError for a network that cannot be used.

    Raises
    ------
    WeightsError
        The file is of another network, or damaged.
    """
    if metadata.get("model") != model:
        got = in_brief(metadata.get("model"))
        raise WeightsError(f"{source}: expected weights of vidfer train {model}, got {got}")
    options = metadata.get("network")
    check_description(options, source=source)
    try:
        network = fill(lambda: build(**options), tensors)  # type: ignore[arg-type]
        check(network)
    except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        raise WeightsError(f"{source} does not fit the {model} network: {in_brief(error)}") from error
    return network.eval()


def finite_number(metadata: Mapping[str, Any], name: str, *, default: float, source: str | Path) -> float:
    """Return a number of a weight file's metadata; raises WeightsError for anything but a finite number."""
    value = metadata.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WeightsError(f"{source}: expected a number for {name}, got {in_brief(value)}")
    return float(value)


def in_brief(value: object, length: int = 200) -> str:
    """Return a value or an error as one line of at most ``length`` characters."""
    text = " ".join(str(value).split()) or type(value).__name__
    return text if len(text) <= length else text[: length - 3] + "..."


def _found_instead(path: Path, error: Exception) -> str:
    """Return what a file that is no safetensors of vidfer's is, and what to do where that is known."""
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError:
        start = b""
    if start not in (b"PK", b"\x80\x02") and path.suffix not in (".pth", ".pt", ".tar"):
        return in_brief(error)
    return (
        "a file of torch.save: vidfer does not unpickle it. For a checkpoint of vidfer's take best.safetensors beside "
        "it; for a network of your own read its state dict with torch.load(FILE, weights_only=True), name its tensors "
        "as the component does and write it with vidfer.weights.save_tensors"
    )


def _unreadable(path: Path, why: object) -> WeightsError:
    return WeightsError(f"weights {in_brief(path, 400)} cannot be read: {why}")


def _find(file: WeightFile) -> Path:
    if not file.url:
        path = assets_folder() / file.filename
        if path.is_file():
            return path
        raise WeightsError(f"the embedded weights {path} are missing; reinstall vidfer")
    for folder in user_folders():
        if (folder / file.filename).is_file():
            return folder / file.filename
    raise WeightsError(
        f"the {file.kind} {file.name!r} needs {file.filename}, which is not on this machine: fetch it from {file.url} "
        f"and put it into {user_folders()[0]} (or any folder that $VIDFER_WEIGHTS names)"
    )
