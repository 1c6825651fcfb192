"""Networks of timm (Wightman 2019, https://github.com/huggingface/pytorch-image-models), fine-tuned by the user.

``backbone.name = "timm:NAME"`` with the file that `save` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vidfer.backbones import BACKBONES, InputSpec
from vidfer.errors import ConfigError, MissingDependency
from vidfer.labels import EMOTIONS
from vidfer.registry import unknown_name
from vidfer.weights import save_tensors

_ABSENT = 30.0  # how far below its least logit an emotion lies that the network does not know: e^-30 of a probability


def save(
    path: str | Path,
    model: Any,
    *,
    labels: Sequence[str],
    size: int | None = None,
    colour: Literal["rgb", "gray"] = "rgb",
    temperature: float = 1.0,
    mirror: bool = False,
) -> str:
    """Write a fine-tuned network of ``timm.create_model`` as weights for ``backbone.weights``.

    Parameters
    ----------
    path
        To write, ``*.safetensors``; tensors are stored as float16.
    model
        With three input channels and as many classes as ``labels``. Mean and standard deviation of its input are those
        of its ``pretrained_cfg``.
    labels
        What the network's classes are, in its order: names of ``vidfer.EMOTIONS``, each at most once. An emotion that
        is not among them is never reported.
    size
        Side of the faces that it was trained on, px: those of ``pretrained_cfg`` if left out. vidfer's faces are
        aligned: the closer those of training were to that, the better it reads.
    colour
        ``gray``: it was trained on gray faces, the same in all three channels.
    temperature
        By which logits are divided, so that their softmax is calibrated.
    mirror
        Take the mean over the face and its mirror image.

    Returns
    -------
    The value for ``backbone.name``.

    Raises
    ------
    ValueError
        If a label is unknown, or there is not one for each class of the network.
    """
    about = model.pretrained_cfg
    if len(labels) != model.num_classes:
        raise ValueError(f"expected labels for the {model.num_classes} classes of the network, got {len(labels)}")
    _columns(labels)  # raises for unknown labels
    options = {
        "size": size or about["input_size"][-1],
        "colour": colour,
        "mean": list(about["mean"]),
        "std": list(about["std"]),
        "labels": list(labels),
    }
    name = f"timm:{about['architecture']}"
    tensors = {f"network.{key}": tensor for key, tensor in model.state_dict().items()}
    save_tensors(
        Path(path), tensors, {"backbone": name, "options": options, "temperature": temperature, "mirror": mirror}
    )
    return name


class TimmNetwork(nn.Module):
    """A network of timm with vidfer's classes in vidfer's order."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, *, spec: InputSpec, mean: Tensor, std: Tensor, labels: Sequence[str]) -> None:
        super().__init__()
        self.input_spec = spec
        self.embedding_size = int(getattr(network, "head_hidden_size", network.num_features))
        self.network = network
        self.channels = len(mean)
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("std", std[:, None, None], persistent=False)
        self.register_buffer("column", torch.tensor(_columns(labels)), persistent=False)
        self.all_known = len(labels) == len(EMOTIONS)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings (N, D) and logits (N, 8) of faces (N, 1 or 3, S, S) in 0..1."""
        faces = (faces.expand(-1, self.channels, -1, -1) - self.mean) / self.std
        embedding = self.network.forward_head(self.network.forward_features(faces), pre_logits=True)
        logits = self.network.get_classifier()(embedding)
        if not self.all_known:
            logits = torch.cat([logits, logits.amin(1, keepdim=True) - _ABSENT], 1)
        return embedding, logits[:, self.column]


@BACKBONES.register("timm:")
def timm_network(
    name: str,
    *,
    size: int = 224,
    colour: Literal["rgb", "gray"] = "rgb",
    mean: Sequence[float] = (0.5,),
    std: Sequence[float] = (0.5,),
    labels: Sequence[str] = EMOTIONS,
) -> nn.Module:
    """Return timm's network ``name`` for faces of ``size`` px; raises ConfigError for a name that timm does not have.

    The options are those that `save` writes.
    """
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision was built for another torch
        what = f"the backbone timm:{name}"
        raise MissingDependency("timm", needed_for=what, extra="timm", detail=str(error)) from error
    if not timm.is_model(name):
        raise ConfigError(unknown_name("network of timm", name, timm.list_models()))
    network = timm.create_model(name, num_classes=len(labels), in_chans=len(mean))
    spec = InputSpec(size=size, colour=colour, mean=0.0, std=1.0)
    return TimmNetwork(network, spec=spec, mean=torch.tensor(mean), std=torch.tensor(std), labels=labels)


def _columns(labels: Sequence[str]) -> list[int]:
    """Return for each of vidfer's emotions its column among the network's logits, the last one for those it lacks."""
    unknown = [label for label in labels if label not in EMOTIONS]
    if unknown or len(set(labels)) < len(labels):
        raise ValueError(f"labels: expected some of {', '.join(EMOTIONS)}, each once; got {', '.join(labels)}")
    places = {label: place for place, label in enumerate(labels)}
    return [places.get(emotion, len(labels)) for emotion in EMOTIONS]
