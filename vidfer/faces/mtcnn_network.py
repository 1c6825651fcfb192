"""The three small networks of MTCNN (Zhang et al. 2016), with names as in facenet-pytorch's weight files."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Layer = tuple[int, int, int]  # channels, side of the kernel, side of the pooling behind it (0: none)


class CascadeNetwork(nn.Module):
    """Convolutions with PReLU, and heads for face or not, box, and on wish points.

    Parameters
    ----------
    layers
        Of convolutions.
    dense
        Inputs and outputs of the layer between them and the heads; None: heads are convolutions, at every place.
    points
        Whether there is a head for five points.
    """

    def __init__(self, layers: Sequence[Layer], *, dense: tuple[int, int] | None = None, points: bool = False) -> None:
        super().__init__()
        self.pools = [pool for _, _, pool in layers]
        before = 3
        for number, (channels, side, _) in enumerate(layers, start=1):
            self.add_module(f"conv{number}", nn.Conv2d(before, channels, side))
            self.add_module(f"prelu{number}", nn.PReLU(channels))
            before = channels
        self.head = len(layers) + 1
        self.dense = dense is not None
        if dense:
            self.add_module(f"dense{self.head}", nn.Linear(*dense))
            self.add_module(f"prelu{self.head}", nn.PReLU(dense[1]))
            self.head += 1
            before = dense[1]
        for number, outputs in enumerate((2, 4, 10) if points else (2, 4), start=1):
            name = f"{'dense' if dense else 'conv'}{self.head}_{number}"
            self.add_module(name, nn.Linear(before, outputs) if dense else nn.Conv2d(before, outputs, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return probability of a face, box and, where there is that head, points, from pictures (B, 3, S, S), -1..1.

        (B,), (B, 4), (B, 10); of the network without a dense layer (B, h, w) and (B, 4, h, w).
        """
        for number, pool in enumerate(self.pools, start=1):
            x = self._modules[f"prelu{number}"](self._modules[f"conv{number}"](x))  # type: ignore[misc]
            if pool:
                x = functional.max_pool2d(x, pool, 2, ceil_mode=True)
        if self.dense:
            x = x.permute(0, 3, 2, 1).flatten(1)  # as Caffe's authors stored it: width, height, channels
            x = self._modules[f"prelu{self.head - 1}"](self._modules[f"dense{self.head - 1}"](x))  # type: ignore[misc]
        kind = "dense" if self.dense else "conv"
        heads = [module(x) for name, module in self.named_children() if name.startswith(f"{kind}{self.head}_")]
        return (heads[0].softmax(1)[:, 1], *heads[1:])


def mtcnn_networks() -> tuple[CascadeNetwork, CascadeNetwork, CascadeNetwork]:
    """Return P-Net, which proposes, R-Net, which refines, and O-Net, which decides; without weights."""
    return (
        CascadeNetwork([(10, 3, 2), (16, 3, 0), (32, 3, 0)]),
        CascadeNetwork([(28, 3, 3), (48, 3, 3), (64, 2, 0)], dense=(576, 128)),
        CascadeNetwork([(32, 3, 3), (64, 3, 3), (64, 3, 2), (128, 2, 0)], dense=(1152, 256), points=True),
    )


def squares(boxes: Tensor) -> Tensor:
    """Return the squares (N, 4) around the middles of boxes (N, 4), with their longer sides."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([middle - half, middle + half], 1)


def moved(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Return boxes (N, 4) moved by offsets (N, 4) in parts of their width and height."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * size.repeat(1, 2)
