"""RetinaFace with a MobileNet 0.25, in the layout of biubug6/Pytorch_Retinaface's published weights (MIT licence).

face-alignment has this network too, but importing it needs torchvision, which face-alignment does not install.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAK = 0.1
WIDTH = 64  # channels of the pyramid
ANCHORS_PER_CELL = 2


class RetinaFaceNetwork(nn.Module):
    """Pictures in; boxes, face scores and points of every anchor out."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _MobileNet()
        self.fpn = _Pyramid()
        self.ssh1, self.ssh2, self.ssh3 = _Context(), _Context(), _Context()
        self.ClassHead = nn.ModuleList(_Head(2) for _ in range(3))
        self.BboxHead = nn.ModuleList(_Head(4) for _ in range(3))
        self.LandmarkHead = nn.ModuleList(_Head(10) for _ in range(3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return box offsets (B, A, 4), face scores (B, A) in 0..1 and point offsets (B, A, 10).

        ``images`` (B, 3, H, W) BGR less the mean; H and W multiples of 32. Anchors run over strides 8, 16 and 32, then
        rows, columns and the two sizes.
        """
        contexts = (self.ssh1, self.ssh2, self.ssh3)
        features = [context(level) for context, level in zip(contexts, self.fpn(self.body(images)), strict=True)]
        boxes, logits, points = (
            torch.cat([head(feature) for head, feature in zip(heads, features, strict=True)], 1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return boxes, logits.softmax(2)[..., 1], points


class _MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            _unit(3, 8, stride=2),
            _separable(8, 16),
            _separable(16, 32, stride=2),
            _separable(32, 32),
            _separable(32, 64, stride=2),
            _separable(64, 64),
        )
        self.stage2 = nn.Sequential(_separable(64, 128, stride=2), *(_separable(128, 128) for _ in range(5)))
        self.stage3 = nn.Sequential(_separable(128, 256, stride=2), _separable(256, 256))

    def forward(self, x: Tensor) -> list[Tensor]:
        first = self.stage1(x)  # (B, 64, H / 8, W / 8)
        second = self.stage2(first)  # (B, 128, H / 16, W / 16)
        return [first, second, self.stage3(second)]


class _Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_unit(width, WIDTH, size=1) for width in (64, 128, 256))
        self.merge1, self.merge2 = _unit(WIDTH, WIDTH), _unit(WIDTH, WIDTH)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        first, second, third = self.output1(levels[0]), self.output2(levels[1]), self.output3(levels[2])
        second = self.merge2(second + functional.interpolate(third, size=second.shape[2:], mode="nearest"))
        first = self.merge1(first + functional.interpolate(second, size=first.shape[2:], mode="nearest"))
        return [first, second, third]


class _Context(nn.Module):
    """Three sizes of surroundings side by side ("SSH" in the paper); names are those of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3X3 = _unit(WIDTH, WIDTH // 2, rectify=False)
        self.conv5X5_1 = _unit(WIDTH, WIDTH // 4)
        self.conv5X5_2 = _unit(WIDTH // 4, WIDTH // 4, rectify=False)
        self.conv7X7_2 = _unit(WIDTH // 4, WIDTH // 4)
        self.conv7x7_3 = _unit(WIDTH // 4, WIDTH // 4, rectify=False)

    def forward(self, x: Tensor) -> Tensor:
        shared = self.conv5X5_1(x)
        parts = [self.conv3X3(x), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))]
        return functional.relu(torch.cat(parts, 1))


class _Head(nn.Module):
    def __init__(self, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(WIDTH, ANCHORS_PER_CELL * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        flat: Tensor = self.conv1x1(x).permute(0, 2, 3, 1).reshape(len(x), -1, self.values)  # (B, anchors, values)
        return flat


def _unit(inputs: int, outputs: int, *, size: int = 3, stride: int = 1, rectify: bool = True) -> nn.Sequential:
    layers = [nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.LeakyReLU(LEAK, inplace=True)) if rectify else nn.Sequential(*layers)


def _separable(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
    pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
    layers: list[nn.Module] = []
    for layer, width in ((depthwise, inputs), (pointwise, outputs)):
        layers += [layer, nn.BatchNorm2d(width), nn.LeakyReLU(LEAK, inplace=True)]
    return nn.Sequential(*layers)
