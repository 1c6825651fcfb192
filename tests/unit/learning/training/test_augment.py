import pytest
import torch

from vidfer.learning.training.augment import Augmentation, AugmentConfig

EVERYTHING = AugmentConfig(
    flip=True,
    rotation_degrees=15,
    scale=0.1,
    shift=0.05,
    stretch=0.05,
    brightness=0.1,
    contrast=0.3,
    gamma=0.3,
    side_light=0.2,
    low_resolution_share=0.5,
    sharpness_share=0.5,
    compression_share=0.5,
    noise_share=0.5,
    occlusion_share=0.5,
)


def smooth_faces(n: int = 6, side: int = 80) -> torch.Tensor:
    coarse = torch.rand(n, 1, 10, 10, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(0.05, 0.95)


def applied(config: AugmentConfig, faces: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return Augmentation(config, size=64, border=8)(faces, torch.Generator().manual_seed(seed))


def test_nothing_asked_leaves_the_centre_unchanged() -> None:
    faces = smooth_faces()
    torch.testing.assert_close(applied(AugmentConfig(), faces), faces[..., 8:72, 8:72], atol=1e-5, rtol=0)


def test_same_generator_same_faces() -> None:
    faces = smooth_faces()
    assert torch.equal(applied(EVERYTHING, faces, 3), applied(EVERYTHING, faces, 3))
    assert not torch.equal(applied(EVERYTHING, faces, 3), applied(EVERYTHING, faces, 4))


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    applied(EVERYTHING, smooth_faces())
    assert torch.equal(before, torch.get_rng_state())


def test_result_stays_a_picture() -> None:
    for seed in range(5):
        out = applied(EVERYTHING, smooth_faces(), seed)
        assert out.shape == (6, 1, 64, 64)
        assert 0 <= float(out.min()) <= float(out.max()) <= 1


def test_flip_mirrors_some_faces_and_leaves_others() -> None:
    faces = smooth_faces(32)
    out, centre = applied(AugmentConfig(flip=True), faces), faces[..., 8:72, 8:72]
    same = (out - centre).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (out - centre.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert bool((same ^ mirrored).all())
    assert 4 < int(mirrored.sum()) < 28


def test_shift_moves_by_no_more_than_asked() -> None:
    faces = torch.zeros(16, 1, 80, 80)
    faces[..., 38:42, 38:42] = 1.0
    out = applied(AugmentConfig(shift=0.1), faces)
    ticks = torch.arange(64) + 0.5
    centre = (out * ticks).sum((1, 2, 3)) / out.sum((1, 2, 3))  # column of each spot
    assert float((centre - 32).abs().max()) <= 6.4 + 0.1
    assert float((centre - 32).abs().max()) > 2


@pytest.mark.parametrize("share", ["low_resolution", "sharpness", "compression", "noise", "occlusion"])
def test_share_is_the_part_of_faces_that_changes(share: str) -> None:
    faces = smooth_faces(200)
    out = applied(AugmentConfig(**{f"{share}_share": 0.3}), faces)
    changed = (out - faces[..., 8:72, 8:72]).abs().amax((1, 2, 3)) > 1e-3
    assert 0.15 < float(changed.float().mean()) < 0.45


def test_blur_removes_detail_and_sharpening_adds_it() -> None:
    faces = torch.rand(40, 1, 80, 80, generator=torch.Generator().manual_seed(2)) * 0.2 + 0.4
    out = applied(AugmentConfig(sharpness_share=1.0), faces)
    ratio = out.std((1, 2, 3)) / faces[..., 8:72, 8:72].std((1, 2, 3))
    assert float(ratio.min()) < 0.8
    assert float(ratio.max()) > 1.2


def test_compression_keeps_flat_faces_flat() -> None:
    faces = torch.full((4, 1, 80, 80), 0.5)
    torch.testing.assert_close(applied(AugmentConfig(compression_share=1.0), faces), faces[..., :64, :64])


def test_shear_moves_the_top_against_the_bottom() -> None:
    line = torch.zeros(16, 1, 80, 80)
    line[..., 39:41] = 1.0  # upright, in the middle
    out = applied(AugmentConfig(shear=0.2), line)[:, 0]
    across = torch.arange(64.0)
    top, bottom = ((out[:, row] * across).sum(1) / out[:, row].sum(1) for row in (4, 59))
    moved = top - bottom  # over 55 px
    assert moved.abs().max() <= 0.2 * 55 + 1
    assert moved.min() < -4
    assert moved.max() > 4
