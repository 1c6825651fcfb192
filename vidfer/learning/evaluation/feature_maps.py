"""What each layer of a backbone makes of a face: its maps of features, first to last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from vidfer.backbones import preprocess
from vidfer.backbones.load import EmotionNetwork
from vidfer.errors import ConfigError
from vidfer.registry import unknown_name

ALL = "all"
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish)
_ACTIVATION_NAMES = frozenset({"relu", "relu_", "relu6", "leaky_relu", "prelu", "elu", "gelu", "silu", "hardswish"})


@dataclass(frozen=True, kw_only=True)
class LayerMaps:
    """What one layer makes of a face.

    Attributes
    ----------
    title
        Where it stands and what it computes: "stage 2 of 4, 12 x 12 px: convolution 3 x 3, 64 channels". A stage is
        what lies between two halvings of the picture's side.
    maps
        (C, h, w) float32.
    """

    title: str
    maps: np.ndarray


def feature_maps(network: EmotionNetwork, face: Tensor, layer: str = ALL) -> dict[str, LayerMaps]:
    """Return the maps behind each activation, in the order in which they are computed.

    Parameters
    ----------
    network
        From ``load_backbone``, not packed.
    face
        (1 or 3, S, S) float 0..1, as for ``EmotionNetwork.embed``; its mirror image is not looked at.
    layer
        Name of one layer, or ``"all"``.

    Returns
    -------
    Maps by layer: the convolution that is activated, or the block whose sum of paths is.

    Raises
    ------
    ConfigError
        There is no such layer; the message names those there are.
    """
    if not isinstance(network.module, fx.GraphModule):
        raise TypeError("expected a network from load_backbone")
    prepared = preprocess(face[None].to(network.device, torch.float32), network.input_spec)
    interpreter = _Maps(network.module)
    with torch.inference_mode():
        interpreter.run(prepared)
    sides = list(dict.fromkeys(maps.shape[-1] for maps in interpreter.maps.values()))
    found = {}
    for name, maps in interpreter.maps.items():
        channels, height, width = maps.shape[1:]
        stage = f"stage {sides.index(width) + 1} of {len(sides)}, {width} x {height}"
        title = f"{stage} px: {_kind(network.module, name)}, {channels} channels"
        found[name] = LayerMaps(title=title, maps=maps[0].float().cpu().numpy())
    if layer == ALL:
        return found
    if layer not in found:
        raise ConfigError(f"--feature-maps: {unknown_name('layer', layer, [*found, ALL])}")
    return {layer: found[layer]}


def _kind(module: fx.GraphModule, name: str) -> str:
    """Return what a layer computes before its activation."""
    layer = dict(module.named_modules()).get(name)
    layer = getattr(layer, "layer", layer)  # of one that computes in another precision
    if isinstance(layer, nn.Conv2d):
        return f"convolution {layer.kernel_size[1]} x {layer.kernel_size[0]}"
    return "end of a block, shortcut added"


class _Maps(fx.Interpreter):
    """Runs a traced network and keeps what its activations give, (1, C, h, w), h > 1, by layer."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.maps: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.ndim == 4 and result.shape[-1] > 1 and self._activates(n):
            self.maps[self._layer(n)] = result
        return result

    def _activates(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self.fetch_attr(str(node.target)), _ACTIVATIONS)
        return getattr(node.target, "__name__", node.target) in _ACTIVATION_NAMES

    def _layer(self, node: fx.Node) -> str:
        before = node.all_input_nodes[0]
        if before.op == "call_module":
            name = str(before.target)
        else:  # a sum of paths: the block that it ends
            owners = [str(path) for path, _ in node.meta.get("nn_module_stack", {}).values()]
            name = owners[-1] if owners and owners[-1] else node.name
        return name if name not in self.maps else node.name
