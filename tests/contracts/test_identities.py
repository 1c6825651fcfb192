"""One suite over every identity network: shapes, batches of any size, the same face twice, other faces.

A network whose weights or optional package are not on this machine skips and says so.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.components import built_or_skip

from vidfer.identity import IDENTITIES, IdentityNetwork


@pytest.fixture(params=IDENTITIES.names())
def network(request: pytest.FixtureRequest) -> IdentityNetwork:
    return built_or_skip(IDENTITIES, request.param)


@pytest.fixture(scope="module")
def portrait() -> torch.Tensor:
    skimage_data = pytest.importorskip("skimage.data")
    picture = torch.from_numpy(np.ascontiguousarray(skimage_data.astronaut()))
    return picture[60:190, 160:290].permute(2, 0, 1)[None].float() / 255  # (1, 3, 130, 130), the face


def faces(portrait: torch.Tensor, network: IdentityNetwork, count: int) -> torch.Tensor:
    size = network.size
    shown = torch.nn.functional.interpolate(portrait, size=size, mode="bilinear", antialias=True)
    return shown.expand(count, -1, -1, -1) * torch.linspace(0.8, 1.0, max(count, 1))[:count, None, None, None]


@pytest.mark.parametrize("count", [0, 1, 3, 70])
def test_vectors_have_length_one_for_any_number_of_faces(
    network: IdentityNetwork, portrait: torch.Tensor, count: int
) -> None:
    vectors = network.embed(faces(portrait, network, count))
    assert vectors.shape == (count, network.embed(faces(portrait, network, 1)).shape[1])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_result_does_not_depend_on_how_faces_are_batched(network: IdentityNetwork, portrait: torch.Tensor) -> None:
    shown = faces(portrait, network, 9)
    singly = np.concatenate([network.embed(face[None]) for face in shown])
    np.testing.assert_allclose(network.embed(shown), singly, atol=1e-4)


def test_a_face_is_more_like_itself_in_other_light_than_like_another(
    network: IdentityNetwork, portrait: torch.Tensor
) -> None:
    bright, dark = network.embed(faces(portrait, network, 2))
    cat = pytest.importorskip("skimage.data").chelsea()[20:220, 120:320]
    other = torch.from_numpy(np.ascontiguousarray(cat)).permute(2, 0, 1)[None].float() / 255
    (stranger,) = network.embed(faces(other, network, 1))
    assert bright @ dark > 0.9
    assert bright @ dark > bright @ stranger + 0.3


def test_other_sizes_and_gray_are_refused(network: IdentityNetwork) -> None:
    for shape in ((1, 3, network.size + 1, network.size), (1, 1, network.size, network.size)):
        with pytest.raises(ValueError, match="expected faces"):
            network.embed(torch.zeros(shape))
