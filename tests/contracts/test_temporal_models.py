"""What every registered sequence model keeps, whatever it is."""

import time

import numpy as np
import pytest
from fixtures.temporal_weights import save_random_network
from fixtures.tracks import noisy_track, steady_track, track_at

from vidfer.errors import ConfigError
from vidfer.labels import NUM_EMOTIONS
from vidfer.temporal import TEMPORAL_MODELS, TrackSequence
from vidfer.temporal.online import check_streams
from vidfer.weights import assets_folder, files_of

TRAINED = ("gru", "lstm", "tcn", "transformer")
NAMES = [n for n in TEMPORAL_MODELS.names() if n not in TRAINED] + [f"{n} (untrained)" for n in TRAINED]
EMBEDDED = [n for n in TRAINED if any((assets_folder() / f.filename).is_file() for f in files_of("temporal", n))]
NAMES += EMBEDDED
CAUSAL = [f"{n} (causal)" for n in TEMPORAL_MODELS.names() if n not in (*TRAINED, "none")]
CAUSAL += [f"{n} (untrained, causal)" for n in TRAINED]
CAUSAL += [f"{n} (causal)" for n in TRAINED if files_of("temporal", f"{n}_causal")]
NAMES += CAUSAL
DIM = 128


@pytest.fixture(scope="module", params=NAMES)
def model(request, tmp_path_factory):
    return make(request.param, tmp_path_factory)


@pytest.fixture
def make_model(request, tmp_path_factory):
    return lambda **options: make(request.node.callspec.params["name"], tmp_path_factory, **options)


def make(given, folder, **options):
    name, _, kind = given.partition(" ")
    causal = "causal" in kind
    if "untrained" in kind:
        path = folder.mktemp("weights") / f"{name}.safetensors"
        options["weights"] = str(save_random_network(path, name, dim=DIM, causal=causal))
    settings = {"device": "cpu", "weights": "", "causal": causal, "window_seconds": 60.0, "overlap_seconds": 10.0}
    settings |= options
    return TEMPORAL_MODELS.get(name)(**settings)


def test_probabilities_at_every_row(model):
    tracks = [noisy_track(7, 25, seed=1, dim=DIM), steady_track(0.04, 25, dim=DIM), noisy_track(3, 12, seed=2, dim=DIM)]
    found = model.predict(tracks)
    assert len(found) == 3
    for track, values in zip(tracks, found, strict=True):
        assert values.shape == (len(track), NUM_EMOTIONS)
        assert values.dtype == np.float32
        assert np.all(values >= 0)
        assert np.allclose(values.sum(1), 1.0, atol=1e-5)


def test_no_tracks_and_tracks_without_rows(model):
    assert model.predict([]) == []
    (found,) = model.predict([track_at(np.zeros(0), dim=DIM)])
    assert found.shape == (0, NUM_EMOTIONS)


def test_a_track_does_not_depend_on_the_others(model):
    tracks = [noisy_track(d, 25, seed=i, dim=DIM) for i, d in enumerate((4, 31, 1, 12))]
    together = model.predict(tracks)
    backwards = model.predict(tracks[::-1])[::-1]
    for track, a, b in zip(tracks, together, backwards, strict=True):
        (alone,) = model.predict([track])
        assert np.allclose(a, alone, atol=2e-5)
        assert np.allclose(b, alone, atol=2e-5)


def test_same_input_same_output_and_input_untouched(model):
    track = noisy_track(5, 30, dim=DIM)
    copies = [array.copy() for array in (track.pts_seconds, track.vectors, track.logits, track.quality)]
    (first,), (second,) = model.predict([track]), model.predict([track])
    assert np.array_equal(first, second)
    for before, after in zip(copies, (track.pts_seconds, track.vectors, track.logits, track.quality), strict=True):
        assert np.array_equal(before, after)


def first_rows(track, count):
    return type(track)(
        pts_seconds=track.pts_seconds[:count],
        vectors=track.vectors[:count],
        logits=track.logits[:count],
        quality=track.quality[:count],
    )


@pytest.mark.parametrize("name", [*CAUSAL, "none"])
@pytest.mark.parametrize("fps", [4, 25, None])
def test_a_causal_model_gives_the_same_row_whatever_comes_later(make_model, name, fps):
    random = np.random.default_rng(3)
    unsteady = np.cumsum(random.exponential(0.07, 300) + 1e-3) + np.repeat([0.0, 5.0], 150)
    track = track_at(unsteady, dim=DIM) if fps is None else noisy_track(12, fps, dim=DIM)
    model = make_model()
    (whole,) = model.predict([track])
    for count in (1, 2, 3, 4, 7, 29, 42, 43, 44, 45, 150, 151, 152):
        (live,) = model.predict([first_rows(track, count)])
        assert np.abs(live - whole[:count]).max() < 1e-5, count


@pytest.mark.parametrize("seed", range(3))
def test_frame_rate_does_not_matter(model, seed, request):
    at = np.arange(0.5, 11.5, 0.1)
    curves = []
    for fps in (10, 25, 30, 60):
        track = track_at(np.arange(12 * fps + 1) / fps, seed=seed, dim=DIM)
        (found,) = model.predict([track])
        curves.append([np.interp(at, track.pts_seconds, column) for column in found.T])
    # forward only, a hidden Markov model jumps from one step to the next: a hundredth of a second shows
    limit = 0.1 if "hmm (causal)" in request.node.name else 0.05
    assert np.ptp(np.array(curves), axis=0).max() < limit


def test_start_of_the_clock_does_not_matter(model):
    (early,) = model.predict([steady_track(6, 25, dim=DIM)])
    base = steady_track(6, 25, dim=DIM)
    late = type(base)(
        pts_seconds=base.pts_seconds + 5000.0, vectors=base.vectors, logits=base.logits, quality=base.quality
    )
    assert np.allclose(early, model.predict([late])[0], atol=1e-3)


def test_gaps_and_unsteady_times_are_taken(model):
    random = np.random.default_rng(0)
    seconds = np.cumsum(random.exponential(0.05, 400) + 1e-3)
    seconds[200:] += 7.0
    seconds[300:] += 90_000.0
    (found,) = model.predict([track_at(seconds, dim=DIM)])
    assert np.isfinite(found).all()
    assert np.allclose(found.sum(1), 1.0, atol=1e-5)


def test_extreme_rows_stay_finite(model):
    track = noisy_track(4, 25, dim=DIM)
    wild = type(track)(
        pts_seconds=track.pts_seconds,
        vectors=track.vectors * 1e4,
        logits=track.logits * 1e3,
        quality=np.zeros_like(track.quality),
    )
    assert np.isfinite(model.predict([wild])[0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_joins_of_windows_cannot_be_seen(make_model, name):
    track = noisy_track(200, 15, dim=DIM)
    (whole,) = make_model(window_seconds=1000.0, overlap_seconds=10.0).predict([track])
    (pieces,) = make_model(window_seconds=60.0, overlap_seconds=10.0).predict([track])
    inside = slice(5 * 15, -5 * 15)
    assert np.abs(whole[inside] - pieces[inside]).max() < 1e-3


def test_an_hour_is_cheap(model):
    track = steady_track(600, 30, dim=DIM)  # a sixth of an hour
    start = time.process_time()
    model.predict([track])
    assert (time.process_time() - start) / len(track) < 2e-4


def irregular_seconds(kind):
    random = np.random.default_rng(4)
    steps = {
        "60 a second": np.full(600, 1 / 60),
        "30 a second, jittered": random.uniform(0.02, 0.05, 300),
        "5 a second": np.full(60, 0.2),
        "3 a second": np.full(40, 1 / 3),
        "bursts": np.where(random.random(300) < 0.1, random.uniform(0.15, 3.0, 300), 0.03),
        "long gaps": np.where(np.arange(400) % 97 == 50, 7.3, 1 / 25),
    }[kind]
    return np.concatenate([[12.3], 12.3 + np.cumsum(steps)])


@pytest.mark.parametrize(
    "kind", ["60 a second", "30 a second, jittered", "5 a second", "3 a second", "bursts", "long gaps"]
)
@pytest.mark.parametrize("name", ["none", *CAUSAL])
def test_row_by_row_it_says_what_it_says_of_the_whole_track(name, kind, tmp_path_factory):
    model = make(name, tmp_path_factory)
    track = track_at(irregular_seconds(kind), dim=DIM)
    random = np.random.default_rng(9)
    track = TrackSequence(
        pts_seconds=track.pts_seconds,
        vectors=track.vectors.astype(np.float16),
        logits=track.logits + random.normal(0, 1, track.logits.shape).astype(np.float32),
        quality=random.uniform(0, 1, len(track)).astype(np.float32),
    )
    (whole,) = model.predict([track])
    stream = check_streams(model, name).stream()
    rows = zip(track.pts_seconds.tolist(), track.vectors, track.logits, track.quality.tolist(), strict=True)
    found = np.array([stream.push(*row) for row in rows])
    assert np.abs(found - whole).max() < 1e-3
    assert np.ptp(whole, axis=0).max() > 0.1, "a track on which nothing happens shows nothing"


def test_two_streams_of_one_model_know_nothing_of_each_other(tmp_path_factory):
    model = make("gru (causal)", tmp_path_factory)
    first, second = (noisy_track(4, 25, seed=seed, dim=DIM) for seed in (1, 2))
    streams = model.stream(), model.stream()
    found = [[], []]
    for i in range(len(first)):
        for k, track in enumerate((first, second)):
            row = track.pts_seconds[i], track.vectors[i], track.logits[i], track.quality[i]
            found[k].append(streams[k].push(*row))
    for track, rows in zip((first, second), found, strict=True):
        assert np.abs(np.array(rows) - model.predict([track])[0]).max() < 1e-3


def test_what_reads_ahead_cannot_be_streamed(tmp_path_factory):
    with pytest.raises(ConfigError, match="causal"):
        check_streams(make("gru", tmp_path_factory), "gru")
