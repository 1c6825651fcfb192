"""Trained sequence networks: weights, padding, windows, live use."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from fixtures.clip_results import make_clip, tables_of
from fixtures.temporal_weights import save_random_network
from fixtures.tracks import noisy_track, steady_track

from vidfer.config import load_pipeline
from vidfer.engine.plan import stage_keys
from vidfer.errors import WeightsError
from vidfer.pipeline.emotions import EmotionsStage
from vidfer.temporal import TEMPORAL_MODELS, TrackSequence
from vidfer.temporal.grid import STEP_SECONDS
from vidfer.temporal.networks.build import NetworkConfig, build_network
from vidfer.temporal.networks.predictor import NetworkModel
from vidfer.temporal.networks.recurrent import LocalAttention, reversed_within
from vidfer.weights import load_tensors, save_tensors

KINDS = ["gru", "lstm", "tcn", "transformer", "gru+attention"]


def network_of(kind, *, dim=16, seed=0, **options):
    name, _, attention = kind.partition("+")
    torch.manual_seed(seed)
    network = build_network(NetworkConfig(name=name, hidden=24, attention=bool(attention), **options), dim=dim).eval()
    torch.nn.init.normal_(network.head.weight, std=0.3)
    for layer in network.modules():
        if isinstance(layer, LocalAttention):  # it begins as nothing
            torch.nn.init.normal_(layer.out.weight, std=0.3)
    return network.requires_grad_(False)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_does_not_reach_a_sequence(kind, causal):
    network = network_of(kind, causal=causal)
    generator = torch.Generator().manual_seed(1)
    features = torch.rand(3, 50, network.project.in_features, generator=generator)
    lengths = torch.tensor([50, 31, 1])
    together = network(features, lengths)
    changed = features.clone()
    changed[1, 31:] = 7.0
    changed[2, 1:] = -7.0
    again = network(changed, lengths)
    for i, length in enumerate(lengths.tolist()):
        alone = network(features[i : i + 1, :length], torch.tensor([length]))[0]
        assert torch.allclose(together[i, :length], alone, atol=1e-5)
        assert torch.allclose(together[i, :length], again[i, :length], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_untrained_network_is_plain_smoothing(kind):
    name, _, attention = kind.partition("+")
    network = build_network(NetworkConfig(name=name, attention=bool(attention)), dim=16)
    track = noisy_track(10, 25, noise=1.0)
    (found,) = NetworkModel(network).predict([track])
    assert (np.diff(found.argmax(1)) != 0).sum() < (np.diff(track.logits.argmax(1)) != 0).sum() / 4


@pytest.mark.parametrize("kind", KINDS)
def test_causal_network_may_be_run_live(kind):
    model = NetworkModel(network_of(kind, causal=True))
    track = noisy_track(12, 30)
    cut = 200
    later = track.pts_seconds > track.pts_seconds[cut] + STEP_SECONDS
    changed = TrackSequence(
        pts_seconds=track.pts_seconds,
        vectors=np.where(later[:, None], np.float32(5), track.vectors),
        logits=np.where(later[:, None], np.float32(-5), track.logits),
        quality=track.quality,
    )
    first, second = model.predict([track, changed])
    assert np.allclose(first[: cut + 1], second[: cut + 1], atol=1e-5)
    short = TrackSequence(
        pts_seconds=track.pts_seconds[:100],
        vectors=track.vectors[:100],
        logits=track.logits[:100],
        quality=track.quality[:100],
    )
    (so_far,) = model.predict([short])
    ahead = np.searchsorted(track.pts_seconds, track.pts_seconds[99] - STEP_SECONDS)
    assert np.allclose(so_far[:ahead], first[:ahead], atol=1e-5)


def test_convolutions_see_as_far_as_they_say():
    network = network_of("tcn")
    features = torch.rand(1, 200, network.project.in_features, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([200])
    changed = features.clone()
    changed[0, 100, :16] += 1.0
    moved = (network(features, lengths) - network(changed, lengths)).abs().amax(-1)[0] > 1e-7
    where = moved.nonzero()[:, 0]
    assert where.min() >= 100 - network.reach
    assert where.max() <= 100 + network.reach


def test_reversal_stays_within_each_length():
    x = torch.arange(10.0).view(2, 5, 1)
    found = reversed_within(x, torch.tensor([5, 2]))[..., 0].tolist()
    assert found == [[4, 3, 2, 1, 0], [6, 5, 7, 8, 9]]


def test_other_embeddings_are_refused_with_a_way_out(tmp_path):
    path = save_random_network(tmp_path / "g.safetensors", "gru", dim=16)
    model = TEMPORAL_MODELS.get("gru")(weights=str(path))
    with pytest.raises(
        WeightsError, match=r"size 16 .* gives 24 .*\"hmm\", \"ema\" or \"none\".*vidfer train temporal"
    ):
        model.predict([steady_track(1, 25, dim=24)])


def test_weights_of_another_model_are_refused(tmp_path):
    path = save_random_network(tmp_path / "g.safetensors", "gru", dim=16)
    with pytest.raises(WeightsError, match="expected weights of the temporal model 'lstm'"):
        TEMPORAL_MODELS.get("lstm")(weights=str(path))
    tensors, metadata = load_tensors(path)
    tensors.pop("head.weight")
    save_tensors(tmp_path / "short.safetensors", tensors, metadata)
    with pytest.raises(WeightsError, match="not complete"):
        TEMPORAL_MODELS.get("gru")(weights=str(tmp_path / "short.safetensors"))
    metadata["labels"] = metadata["labels"][::-1]
    save_tensors(tmp_path / "labels.safetensors", tensors, metadata)
    with pytest.raises(WeightsError, match="other labels"):
        TEMPORAL_MODELS.get("gru")(weights=str(tmp_path / "labels.safetensors"))


def test_missing_weights_say_what_to_do():
    with pytest.raises(WeightsError, match="weights"):
        TEMPORAL_MODELS.get("lstm")()
    with pytest.raises(WeightsError, match="does not exist"):
        TEMPORAL_MODELS.get("gru")(weights="/nowhere/own.safetensors")


def test_causal_asks_for_weights_that_read_no_later_rows(tmp_path):
    ahead = save_random_network(tmp_path / "ahead.safetensors", "gru", dim=16)
    live = save_random_network(tmp_path / "live.safetensors", "gru", dim=16, causal=True)
    with pytest.raises(WeightsError, match=r"causal = true needs a network that reads no later rows"):
        TEMPORAL_MODELS.get("gru")(weights=str(ahead), causal=True)
    assert TEMPORAL_MODELS.get("gru")(weights=str(live), causal=True).causal
    with pytest.raises(
        WeightsError, match=r"causal temporal model 'tcn'.*--recipe temporal_tcn', with \[model\] causal"
    ):
        TEMPORAL_MODELS.get("tcn")(causal=True)


def test_the_causal_key_reaches_the_stage_and_its_cache_key(tmp_path):
    usual, causal = (load_pipeline("default", [f"temporal.causal={text}"]) for text in ("false", "true"))
    keys = [stage_keys("00", "pyav", config, clip_id="a") for config in (usual, causal)]
    assert keys[0]["embeddings"] == keys[1]["embeddings"]
    assert keys[0]["emotions"] != keys[1]["emotions"]
    clip = make_clip(seconds=4.0)
    dim = clip.embeddings.vectors.shape[1]
    live = str(save_random_network(tmp_path / "live.safetensors", "gru", dim=dim, causal=True))
    stage = EmotionsStage(
        load_pipeline("default", ["temporal.causal=true", f"temporal.weights={live}"]).temporal, device="cpu"
    )
    tables = tables_of(clip)
    counts = tables["faces"].num_faces.cumsum()
    whole, early = (
        stage.process(
            {
                name: table.rows(frames=slice(0, frames), faces=slice(0, int(counts[frames - 1])))
                for name, table in tables.items()
            }
        )
        for frames in (100, 61)
    )
    assert np.allclose(whole.probabilities[:61], early.probabilities, atol=1e-5)


def test_listing_the_models_imports_no_torch():
    code = (
        "import sys; from vidfer.temporal import TEMPORAL_MODELS; "
        "print(TEMPORAL_MODELS.names()); assert 'torch' not in sys.modules and 'scipy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"gru", "lstm", "tcn", "none", "ema", "median", "hmm"} <= set(eval(done.stdout))


@pytest.mark.parametrize("kind", KINDS)
def test_windows_of_any_size_show_no_joins(kind):
    network = network_of(kind)
    track = noisy_track(200, 12, seed=3)
    (whole,) = NetworkModel(network, window_seconds=1000.0).predict([track])
    for window, overlap in ((60.0, 10.0), (20.0, 1.0), (3.0, 0.5)):
        (pieces,) = NetworkModel(network, window_seconds=window, overlap_seconds=overlap).predict([track])
        assert np.abs(whole - pieces).max() < 1e-4
