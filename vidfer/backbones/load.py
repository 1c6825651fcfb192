"""A trained backbone, ready for use: weights found and checked, normalisation folded in, calibrated."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from vidfer.backbones import BACKBONES, InputSpec, preprocess
from vidfer.config import BackboneConfig, options_of
from vidfer.device import bfloat16_is_fast
from vidfer.errors import ConfigError, WeightsError
from vidfer.labels import EMOTIONS
from vidfer.packed import PackedConvolution, can_pack, fits
from vidfer.weights import check_description, fill, finite_number, in_brief, load_tensors, locate

Precision = Literal["auto", "float32", "bfloat16"]
_MAX_VECTOR = float(np.finfo(np.float16).max)


@dataclass(frozen=True, kw_only=True)
class EmotionNetwork:
    """A per-frame network in use.

    Attributes
    ----------
    name
        Of the backbone.
    input_spec
        Cut faces with ``faces.align.warp_faces(..., size=input_spec.size)``.
    embedding_size
        Length D of the vectors.
    temperature
        By which logits are divided, so that their softmax is calibrated.
    mirror
        Whether the mean over the face and its mirror image is taken.
    metadata
        From the weight file: recipe, figures.
    device, precision
        What it computes on and in.
    """

    name: str
    input_spec: InputSpec
    embedding_size: int
    temperature: float
    mirror: bool
    metadata: dict[str, Any]
    device: torch.device
    precision: Precision
    module: nn.Module

    def packed(self) -> EmotionNetwork:
        """Return the same network, with the same results, faster on the CPU and without gradients."""
        if not can_pack(self.device) or not isinstance(self.module, fx.GraphModule):
            return self
        return replace(self, module=_packed(self.module))

    def embed(self, faces: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return embeddings and calibrated logits of aligned faces.

        Parameters
        ----------
        faces
            (N, 1 or 3, S, S) float 0..1 on any device, from ``faces.align.warp_faces`` with S = ``input_spec.size``.

        Returns
        -------
        vectors
            (N, D) float16.
        logits
            (N, 8) float32, columns ``labels.EMOTIONS``; their softmax are probabilities.

        Raises
        ------
        ValueError
            If the faces have another size.
        WeightsError
            If the network gives values that are no numbers.
        """
        size = self.input_spec.size
        if faces.ndim != 4 or faces.shape[1] not in (1, 3) or faces.shape[2:] != (size, size):
            raise ValueError(f"expected faces (N, 1 or 3, {size}, {size}), got {tuple(faces.shape)}")
        if not len(faces):
            return np.empty((0, self.embedding_size), np.float16), np.empty((0, len(EMOTIONS)), np.float32)
        with torch.inference_mode():
            prepared = preprocess(faces.to(self.device, torch.float32), self.input_spec)
            if self.mirror:
                prepared = torch.cat([prepared, prepared.flip(3)])  # (2N, C, S, S)
            vectors, logits = self.module(prepared.to(memory_format=torch.channels_last))
            vectors, logits = vectors.float(), logits.float()
            if self.mirror:
                vectors, logits = vectors.unflatten(0, (2, -1)).mean(0), logits.unflatten(0, (2, -1)).mean(0)
            if not (vectors.abs() <= _MAX_VECTOR).all() or not torch.isfinite(logits).all():
                raise WeightsError(f"the backbone {self.name!r} gives no numbers: its weights are damaged")
        return vectors.cpu().numpy().astype(np.float16), (logits / self.temperature).cpu().numpy()


def configured_backbone(config: BackboneConfig, *, device: str | torch.device = "cpu") -> EmotionNetwork:
    """Load what ``[backbone]`` names, with its weights and its own options; raises as ``load_backbone``."""
    return load_backbone(config.name, device=device, weights=config.weights, options=options_of(config, config.name))


def load_backbone(
    name: str,
    *,
    device: str | torch.device = "cpu",
    weights: str | Path = "",
    precision: Precision = "auto",
    options: Mapping[str, Any] = MappingProxyType({}),
) -> EmotionNetwork:
    """Load a trained backbone.

    Parameters
    ----------
    name
        In the registry, e.g. ``compact``.
    device
        Where it computes.
    weights
        The user's own file (``best.safetensors`` of a training run); empty for the one in the weight table.
    precision
        ``auto``: bfloat16 on CUDA and on processors with native bfloat16 dot products, else float32.
    options
        From the settings, for a backbone that has some; over those of the weight file.

    Raises
    ------
    ConfigError
        If no backbone has this name, or the file holds weights of another one.
    WeightsError
        If the file is missing, damaged or does not fit.
    """
    BACKBONES.get(name)  # a misspelt name is said to be one, not to lack weights
    path = locate("backbone", name, str(weights))[0]
    tensors, metadata = load_tensors(path)
    temperature = finite_number(metadata, "temperature", default=1.0, source=path)
    if not 0.01 <= temperature <= 100:
        raise WeightsError(f"{path}: expected a temperature of about 1, got {temperature}: it is damaged")
    model = build_backbone(name, tensors, metadata, source=path, options=options)
    device = torch.device(device)
    half = precision == "bfloat16" or (precision == "auto" and bfloat16_is_fast(device))
    half = half and any(isinstance(layer, nn.Conv2d) for layer in model.modules())  # nothing else is made faster
    module = fold_normalisation(model)
    if half:
        module = halve(fold_normalisation(copy.deepcopy(model)), module)
    module = module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return EmotionNetwork(
        name=name,
        input_spec=model.input_spec,  # type: ignore[arg-type]
        embedding_size=int(model.embedding_size),  # type: ignore[arg-type]
        temperature=temperature,
        mirror=bool(metadata.get("mirror", False)),
        metadata=metadata,
        device=device,
        precision="bfloat16" if half else "float32",
        module=module,
    )


def build_backbone(
    name: str,
    tensors: dict[str, Tensor],
    metadata: dict[str, Any],
    *,
    source: Path,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> nn.Module:
    """Return the network that a weight file describes, filled with its tensors, in evaluation mode.

    ``options`` of the settings go over those of the file.
    """
    made_for = metadata.get("backbone", name)
    if made_for != name:
        raise ConfigError(f"{source} holds weights of the backbone {made_for!r}, not {name!r}: set backbone.name")
    if metadata.get("labels", list(EMOTIONS)) != list(EMOTIONS):
        got = in_brief(metadata["labels"])
        raise WeightsError(f"{source}: expected the classes {', '.join(EMOTIONS)}; got {got}")
    as_trained = metadata.get("options", {})
    check_description(as_trained, source=source)
    try:
        model = fill(lambda: BACKBONES.get(name)(**{**as_trained, **options}), tensors)
    except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        raise WeightsError(f"{source} does not fit the backbone {name!r}: {in_brief(error)}") from error
    return model.eval()


class _Exact(nn.Module):
    """A layer that computes in float32 inside a network of another type."""

    def __init__(self, layer: nn.Module, result: torch.dtype) -> None:
        super().__init__()
        self.layer, self.result = layer.float(), result

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.float()).to(self.result)


def halve(module: nn.Module, exact: nn.Module) -> nn.Module:
    """Return ``module`` in bfloat16 with the first convolution and the linear layers of ``exact``, in float32.

    They cost little, and without them the rounding of the picture and of the classifier turns the decision of about
    0.2 % of the faces of PublicTest; with them of 0.06 %.
    """
    module = module.to(torch.bfloat16)
    layers = [(name, layer) for name, layer in exact.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    first = next((name for name, layer in layers if isinstance(layer, nn.Conv2d)), "")
    for name, layer in layers:
        if name == first:
            module.set_submodule(name, _Exact(layer, torch.bfloat16))
        elif isinstance(layer, nn.Linear):
            module.set_submodule(name, _Exact(layer, torch.float32))
    return module


def _packed(model: fx.GraphModule) -> fx.GraphModule:
    """Return the network with its convolutions packed, with the ReLU that follows; other layers are shared."""
    graph = fx.GraphModule(model, copy.deepcopy(model.graph))
    modules = dict(graph.named_modules())
    times_used = Counter(str(node.target) for node in graph.graph.nodes if node.op == "call_module")
    for node in list(graph.graph.nodes):
        layer = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(layer, _Exact) and isinstance(layer.layer, nn.Conv2d) and fits(layer.layer):
            graph.set_submodule(str(node.target), _Exact(PackedConvolution(layer.layer), layer.result))
        if not isinstance(layer, nn.Conv2d) or not fits(layer) or times_used[str(node.target)] > 1:
            continue
        after = next(iter(node.users)) if len(node.users) == 1 else None
        relu = after is not None and _is_relu(after, modules)
        if after is not None and relu:
            after.replace_all_uses_with(node)
            graph.graph.erase_node(after)
        graph.set_submodule(str(node.target), PackedConvolution(layer, relu=relu))
    graph.recompile()
    return graph


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return isinstance(modules.get(str(node.target)), nn.ReLU)
    return node.op == "call_function" and node.target in (torch.relu, functional.relu)


def fold_normalisation(model: nn.Module) -> nn.Module:
    """Return the network, for evaluation only, with its batch normalisations part of the layers before them.

    Other layers are shared with ``model``, which stays as it is. A network whose code torch.fx cannot follow is
    returned whole.
    """
    try:
        graph = fx.symbolic_trace(model)
    except (fx.proxy.TraceError, TypeError, RuntimeError):
        return model
    modules = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        before = node.args[0]
        layer = modules.get(str(before.target)) if before.op == "call_module" else None
        if len(before.users) > 1 or not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        fused = fuse_conv_bn_eval(layer, norm) if isinstance(layer, nn.Conv2d) else fuse_linear_bn_eval(layer, norm)
        graph.set_submodule(str(before.target), fused)
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph
