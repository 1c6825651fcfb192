"""What a network looks at, in a face and over time; and what its layers make of a face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vidfer.backbones.load import EmotionNetwork, load_backbone
from vidfer.errors import ConfigError
from vidfer.labels import EMOTION_INDEX, NUM_EMOTIONS
from vidfer.learning.evaluation.feature_maps import feature_maps
from vidfer.learning.evaluation.occlusion import occlusion
from vidfer.learning.evaluation.time_attribution import time_attribution
from vidfer.temporal import TEMPORAL_MODELS, TemporalModel, TrackSequence
from vidfer.temporal.prior import shifted

HAPPINESS = EMOTION_INDEX["happiness"]


@pytest.fixture(scope="module")
def network() -> EmotionNetwork:
    return load_backbone("compact", precision="float32")


class Corner(nn.Module):
    """Reads happiness from the upper left corner alone, and the more the darker the lower right one is."""

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.zeros(len(faces), NUM_EMOTIONS)
        logits[:, HAPPINESS] = 3 * faces[:, :, :8, :8].mean((1, 2, 3)) - 3 * faces[:, :, -8:, -8:].mean((1, 2, 3))
        return torch.zeros(len(faces), 4), logits


def test_covering_shows_where_the_network_looks(network: EmotionNetwork) -> None:
    face = torch.full((1, 3, 48, 48), 0.5)
    face[:, :, :8, :8] = 1.0
    face[:, :, -8:, -8:] = 1.0
    corner = replace(network, module=Corner(), mirror=False)
    found = occlusion(corner, face, np.array([HAPPINESS]))[0]
    assert found.shape == (48, 48)
    assert found[2, 2] > 0.05  # without it, it is less happy
    assert found[-3, -3] < -0.05  # without it, it is more so
    assert np.abs(found[16:32, 16:32]).max() < 1e-4
    assert np.abs(found).max() in (np.abs(found[:8, :8]).max(), np.abs(found[-8:, -8:]).max())


def test_maps_of_all_layers_come_first_to_last_and_one_by_name(network: EmotionNetwork) -> None:
    face = torch.rand(3, 48, 48)
    found = feature_maps(network, face)
    sides = [layer.maps.shape[1] for layer in found.values()]
    assert len(found) >= 10
    assert sides == sorted(sides, reverse=True)
    assert all((layer.maps >= 0).all() for layer in found.values())  # behind an activation
    name = list(found)[-1]
    alone = feature_maps(network, face, name)[name]
    np.testing.assert_array_equal(alone.maps, found[name].maps)
    assert alone.title == found[name].title
    with pytest.raises(ConfigError, match=r"unknown layer 'stem.1'.*did you mean 'stem.0'"):
        feature_maps(network, face, "stem.1")


def test_titles_say_where_in_the_network_maps_come_from(network: EmotionNetwork) -> None:
    found = feature_maps(network, torch.rand(3, 48, 48))
    assert found["stem.0"].title == "stage 1 of 4, 24 x 24 px: convolution 5 x 5, 32 channels"
    assert found["blocks.1.conv1"].title == "stage 2 of 4, 12 x 12 px: convolution 3 x 3, 64 channels"
    assert found["blocks.5"].title == "stage 4 of 4, 3 x 3 px: end of a block, shortcut added, 256 channels"


def talking(seconds: float = 6.0, *, burst: tuple[float, float]) -> TrackSequence:
    """Return a neutral track with happiness within ``burst``, at 10 rows a second."""
    times = np.arange(0, seconds, 0.1)
    logits = np.zeros((len(times), NUM_EMOTIONS), np.float32)
    logits[:, 0] = 4.0
    happy = (times >= burst[0]) & (times < burst[1])
    logits[happy, 0], logits[happy, HAPPINESS] = 0.0, 4.0
    return TrackSequence(
        pts_seconds=times,
        vectors=np.zeros((len(times), 128), np.float32),
        logits=logits,
        quality=np.full(len(times), 0.9, np.float32),
    )


@pytest.fixture(scope="module")
def gru() -> TemporalModel:
    return TEMPORAL_MODELS.get("gru")(device="cpu")


def test_the_seconds_that_decided_are_those_of_the_expression(gru: TemporalModel) -> None:
    found = time_attribution(gru, talking(burst=(2.0, 3.0)), at_seconds=2.5)
    assert found.emotion == HAPPINESS
    assert found.at_seconds == pytest.approx(2.5)
    inside = (found.seconds >= 1.8) & (found.seconds <= 3.2)
    assert found.amount[inside].sum() > 0.85 * found.amount.clip(0).sum()
    against = time_attribution(gru, talking(burst=(2.0, 3.0)), at_seconds=0.5, emotion=HAPPINESS)
    assert against.amount.sum() < -1  # a neutral face speaks against it


def test_what_all_steps_add_is_the_whole_difference(gru: TemporalModel) -> None:
    track = talking(burst=(2.0, 3.0))
    for at in (2.1, 5.9):
        found = time_attribution(gru, track, at_seconds=at)
        whole = found.log_probability - found.without
        assert float(found.amount.sum()) == pytest.approx(whole, abs=0.02 * max(1.0, abs(whole)))
        (predicted,) = gru.predict([track])
        np.testing.assert_allclose(found.probabilities, predicted, atol=1e-4)


def test_it_explains_the_probabilities_that_the_prior_makes_of_the_models(gru: TemporalModel) -> None:
    track, shift = talking(burst=(2.0, 3.0)), np.linspace(-1.0, 1.5, NUM_EMOTIONS)
    found = time_attribution(gru, track, at_seconds=2.5, shift=shift)
    (predicted,) = gru.predict([track])
    np.testing.assert_allclose(found.probabilities, shifted(predicted, shift), atol=1e-4)
    assert np.abs(found.probabilities - predicted).max() > 0.05
    whole = found.log_probability - found.without
    assert float(found.amount.sum()) == pytest.approx(whole, abs=0.02 * max(1.0, abs(whole)))


def test_a_model_without_gradients_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match=r"set \[temporal\] name to a network"):
        time_attribution(TEMPORAL_MODELS.get("hmm")(device="cpu"), talking(burst=(1, 2)), at_seconds=1)
