"""Which parts of a face speak for an emotion: Grad-CAM (Selvaraju et al. 2017) of any backbone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx
from torch.nn import functional

from vidfer.backbones import preprocess
from vidfer.backbones.load import EmotionNetwork
from vidfer.errors import ConfigError


def gradcam(network: EmotionNetwork, faces: Tensor, emotions: np.ndarray | None = None) -> np.ndarray:
    """Return how much each place of each face speaks for an emotion.

    Parameters
    ----------
    network
        From ``load_backbone``.
    faces
        (N, 1 or 3, S, S) float 0..1, as for ``EmotionNetwork.embed``.
    emotions
        (N,) into ``labels.EMOTIONS``; by default the most probable one of each face.

    Returns
    -------
    (N, S, S) float32, 0..1 with 1 at each face's strongest place; all 0 where nothing speaks for the emotion.

    Raises
    ------
    ConfigError
        For a backbone without maps of features: those by hand.
    """
    if not isinstance(network.module, fx.GraphModule):
        raise TypeError("expected a network from load_backbone")
    prepared = preprocess(faces.to(network.device, torch.float32), network.input_spec)
    interpreter = _LastMap(network.module)
    with torch.enable_grad():
        _, logits = interpreter.run(prepared.requires_grad_())
        if not hasattr(interpreter, "last"):
            raise ConfigError(f"the backbone {network.name!r} has no maps of features that Grad-CAM could show")
        chosen = torch.as_tensor(emotions if emotions is not None else logits.detach().argmax(1).cpu().numpy())
        (gradient,) = torch.autograd.grad(logits.gather(1, chosen.to(logits.device)[:, None]).sum(), interpreter.last)
    weights = gradient.float().mean((2, 3), keepdim=True)  # (N, C, 1, 1)
    heat = functional.relu((weights * interpreter.last.detach().float()).sum(1, keepdim=True))  # (N, 1, h, w)
    heat = functional.interpolate(heat, size=tuple(faces.shape[2:]), mode="bilinear")[:, 0]
    return (heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)).cpu().numpy()


class _LastMap(fx.Interpreter):
    """Runs a traced network and keeps the last map of features (N, C, h, w), h > 1, that it computes."""

    last: Tensor

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op != "placeholder" and isinstance(result, Tensor) and result.ndim == 4 and result.shape[-1] > 1:
            self.last = result
        return result
