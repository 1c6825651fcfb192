"""Every registered movement network keeps the protocol: shapes, ranges, and no dependence on how faces are batched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidfer.movements import EYES, MOVEMENT_NETWORKS, MOVEMENTS, MovementNetwork


@pytest.fixture(params=MOVEMENT_NETWORKS.names())
def network(request: pytest.FixtureRequest) -> MovementNetwork:
    return MOVEMENT_NETWORKS.get(request.param)(device="cpu", weights="")


def pictures(network: MovementNetwork, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    face, eye = network.face_size, network.eye_size
    faces = torch.rand(count, 3, face, face, generator=generator)
    return faces, torch.rand(count, 2, 1, eye, eye, generator=generator)


def test_gives_values_irises_and_errors(network: MovementNetwork) -> None:
    for count in (0, 1, 40):
        seen = network.predict(*pictures(network, count))
        assert seen.values.shape == seen.error.shape == (count, len(MOVEMENTS))
        assert seen.iris.shape == (count, 2, 2)
        assert {a.dtype for a in (seen.values, seen.iris, seen.error)} == {np.dtype(np.float32)}
        assert ((seen.values >= 0) & (seen.values <= 1)).all()
        assert (seen.error >= 0).all()


def test_a_face_does_not_depend_on_its_neighbours(network: MovementNetwork) -> None:
    faces, eyes = pictures(network, 40)
    together = network.predict(faces, eyes)
    alone = network.predict(faces[17:18], eyes[17:18])
    np.testing.assert_allclose(alone.values, together.values[17:18], atol=1e-4)
    np.testing.assert_allclose(alone.iris, together.iris[17:18], atol=1e-5)


def test_both_eyes_are_seen_alike(network: MovementNetwork) -> None:
    """The left eye comes mirrored: exchanging the pictures exchanges openings and turns the irises about."""
    faces, eyes = pictures(network, 8)
    one, other = network.predict(faces, eyes), network.predict(faces, eyes.flip(1))
    number = len(EYES)
    np.testing.assert_allclose(one.values[:, :number], other.values[:, :number][:, ::-1], atol=1e-4)
    np.testing.assert_allclose(one.iris, other.iris[:, ::-1] * [-1, 1], atol=1e-5)


def test_wrong_sizes_are_named(network: MovementNetwork) -> None:
    faces, eyes = pictures(network, 2)
    with pytest.raises(ValueError, match="expected faces"):
        network.predict(faces[:, :, :-1], eyes)
    with pytest.raises(ValueError, match="expected faces"):
        network.predict(faces, eyes[:1])
