"""What vidfer's own small face networks are built of, and how they are laid out for inference."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vidfer.packed import PackedConvolution

Network = TypeVar("Network", bound=nn.Module)


class ConvUnit(nn.Module):
    """Convolution, batch normalisation and, if wanted, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv: nn.Conv2d | PackedConvolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return functional.relu_(x) if self.relu else x


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels)
        self.second = ConvUnit(channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.second.conv, PackedConvolution):
            packed: Tensor = self.second.conv(self.first(x), x)
            return packed
        return functional.relu_(self.second(self.first(x)).add_(x))


def fuse_norms(network: Network) -> Network:
    """Fold every batch normalisation into its convolution, in place, and return the network."""
    for unit in network.modules():
        if isinstance(unit, ConvUnit) and isinstance(unit.norm, nn.BatchNorm2d):
            assert isinstance(unit.conv, nn.Conv2d)
            unit.conv = fuse_conv_bn_eval(unit.conv, unit.norm)
            unit.norm = nn.Identity()
    return network


def pack(network: Network) -> Network:
    """Lay the weights of a network without norms out for the CPU, in place, and return it; no gradients any more."""
    for block in network.modules():
        if isinstance(block, Residual) and isinstance(block.second.conv, nn.Conv2d):
            block.second.conv = PackedConvolution(block.second.conv, relu=True)
    for unit in network.modules():
        if isinstance(unit, ConvUnit) and isinstance(unit.conv, nn.Conv2d):
            unit.conv, unit.relu = PackedConvolution(unit.conv, relu=unit.relu), False
    for name, conv in list(network.named_modules()):
        if isinstance(conv, nn.Conv2d):
            network.set_submodule(name, PackedConvolution(conv))
    return network
