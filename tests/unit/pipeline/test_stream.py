"""A pipeline over frames as they come: the sample video, pushed frame by frame."""

import gc
import tracemalloc
from concurrent.futures import Executor, Future

import numpy as np
import pytest

from vidfer.errors import ConfigError, DataError, VidferError
from vidfer.faces.boxes import pairwise_iou
from vidfer.pipeline.pipeline import Pipeline
from vidfer.pipeline.tracks import COUNTS_FROM
from vidfer.video.probe import probe
from vidfer.video.pyav_reader import PyAVReader


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline("live", device="cpu")


@pytest.fixture(scope="module")
def shown(sample_video):
    """Pictures and times of the sample: 12 a second."""
    video = probe(sample_video)
    every = max(1, round(video.info.average_fps / 12))
    batches = PyAVReader(video).read(np.arange(0, video.num_frames, every), batch_size=16)
    return [
        (image, float(seconds))
        for batch in batches
        for image, seconds in zip(batch.images, batch.pts_seconds, strict=True)
    ]


@pytest.fixture(scope="module")
def seen(pipeline, shown):
    """What a stream says of each frame."""
    with pipeline.stream() as stream:
        return [stream.process(*frame) for frame in shown]


def stacked(frames, name):
    tables = [frame.tables[name] for frame in frames]
    return type(tables[0]).stack(tables)


def test_faces_are_those_that_the_whole_clip_shows(seen, shown, pipeline):
    clip = pipeline.frames([image for image, _ in shown], [seconds for _, seconds in shown])
    with_face = [row for row in range(len(shown)) if len(clip[row])]
    found = [row for row in with_face if seen[row].faces]
    assert len(found) >= len(with_face) - 2 * COUNTS_FROM * 3, "but the first two frames of each of three tracks"
    for row in found:
        assert len(seen[row].faces) == len(clip[row])
        ours = np.array([face.xyxy for face in seen[row].faces])
        assert pairwise_iou(ours, clip[row].detections.xyxy).max(1).min() > 0.85
    absent = [row for row in range(len(shown)) if not len(clip[row])]
    assert sum(bool(seen[row].faces) for row in absent) <= 1


def test_a_person_counts_from_the_third_frame_and_keeps_one_number(seen):
    numbers = [[face.face_id for face in frame.faces] for frame in seen]
    assert numbers[: COUNTS_FROM - 1] == [[], []]
    assert numbers[COUNTS_FROM - 1] == [0]
    first_seen = list(dict.fromkeys(number for frame in numbers for number in frame))
    assert first_seen == sorted(first_seen)
    assert len(first_seen) >= 2, "the sample shows two people"


def test_probabilities_are_those_of_the_offline_causal_model_on_the_same_faces(seen, pipeline):
    tables = {name: stacked(seen, name) for name in ("faces", "embeddings", "tracks", "emotions")}
    everybody = pipeline.stage("tracks").process(tables)  # also the first faces of each track
    counted = tables["tracks"].track_id >= 0
    whole = pipeline.stage("emotions").process({**tables, "tracks": everybody}).probabilities
    assert counted.sum() > 50
    assert np.abs(tables["emotions"].probabilities[counted] - whole[counted]).max() < 1e-3
    assert np.isnan(tables["emotions"].probabilities[~counted]).all()


def test_numbers_are_those_of_offline_tracking(seen, pipeline):
    tables = {name: stacked(seen, name) for name in ("faces", "tracks")}
    offline = pipeline.stage("tracks").process(tables).track_id
    online = tables["tracks"].track_id
    pairs = set(zip(offline[online >= 0].tolist(), online[online >= 0].tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_what_comes_later_changes_nothing(pipeline, shown, seen):
    with pipeline.stream() as stream:
        again = [stream.process(*frame) for frame in shown[:20]]
    for name in ("faces", "embeddings", "tracks", "emotions"):
        first, second = stacked(seen[:20], name).arrays(), stacked(again, name).arrays()
        for column, values in first.items():
            assert np.array_equal(values, second[column], equal_nan=values.dtype.kind == "f"), column


class AtOnce(Executor):
    """Runs what it is given on the spot."""

    def submit(self, work, *arguments):
        done = Future()
        done.set_result(work(*arguments))
        return done


def four_times(shown):
    return [(np.tile(image[::2, ::2], (2, 2, 1)), seconds) for image, seconds in shown]


def test_what_is_looked_at_beside_changes_nothing(pipeline, shown):
    """Also with four faces, and where somebody comes and goes between two looks of the detector."""
    frames = [*four_times(shown[:10]), *((image[::2, ::2], seconds) for image, seconds in shown[10:14])]
    frames += four_times(shown[14:24])
    streams = [pipeline.stream(), pipeline.stream()]
    streams[1]._faces._beside.shutdown()
    streams[1]._beside = streams[1]._faces._beside = AtOnce()
    seen = [[stream.process(*frame) for frame in frames] for stream in streams]
    for ours, theirs in zip(*seen, strict=True):
        for name, table in ours.tables.items():
            for column, values in table.arrays().items():
                other = theirs.tables[name].arrays()[column]
                assert np.array_equal(values, other, equal_nan=values.dtype.kind == "f"), column
    assert [len(frame.faces) for frame in seen[0]] == [0, 0, *[4] * 8, 0, 0, 1, 1, 0, 0, *[4] * 8]


def test_somebody_new_is_seen_when_the_detector_looks_again_and_who_goes_is_gone(pipeline, shown):
    def frame(number, num_people):
        (image, seconds), empty = shown[number], np.full_like(shown[0][0], 90)
        return np.concatenate([image, image if num_people == 2 else empty], axis=1), seconds

    with pipeline.stream() as stream:
        counts = [len(stream.process(*frame(number, 1)).tables["emotions"].probabilities) for number in range(3)]
        counts += [len(stream.process(*frame(number, 2)).tables["emotions"].probabilities) for number in range(3, 15)]
        counts += [len(stream.process(*frame(number, 1)).tables["emotions"].probabilities) for number in range(15, 18)]
    every = pipeline.config.faces.detect_every
    assert counts[:3] == [1, 1, 1]
    assert set(counts[3 : every + 1]) <= {1, 2}
    assert counts[every + 1 : 15] == [2] * (14 - every)
    assert counts[15:] == [1, 1, 1], "who is lost is looked for at once"


def test_late_and_doubled_frames_are_dropped_and_counted(pipeline, shown):
    with pipeline.stream() as stream:
        for image, seconds in shown[:6]:
            stream.push(image, seconds)
        answers = [stream.push(shown[3][0], shown[5][1] - late) for late in (0.0, 0.01, 0.5)]
        assert answers == [[], [], []]
        assert (stream.num_frames, stream.num_late) == (6, 3)
        (face,) = stream.push(*shown[6])
        assert face.face_id == 0


def test_a_clock_that_begins_anew_goes_on(pipeline, shown):
    with pipeline.stream() as stream:
        times = [stream.process(image, 100 + seconds).seconds for image, seconds in shown[:6]]
        later = [stream.process(image, seconds - shown[6][1]) for image, seconds in shown[6:10]]
    times += [frame.seconds for frame in later]
    assert np.allclose(np.diff(times), np.diff([seconds for _, seconds in shown[:10]]), atol=1e-3)
    assert [face.face_id for frame in later for face in frame.faces] == [0, 0, 0, 0], "still the same person"


def test_a_new_scene_is_a_new_number(pipeline, shown):
    with pipeline.stream() as stream:
        for image, seconds in shown[:6]:
            stream.push(image, seconds)
        faces = [stream.push(image[::2, ::2], seconds) for image, seconds in shown[6:12]]
    assert [[face.face_id for face in frame] for frame in faces] == [[], [], *[[1]] * 4]


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(pipeline, shown, seconds):
    with pipeline.stream() as stream, pytest.raises(DataError, match="finite"):
        stream.push(shown[0][0], seconds)


def test_a_picture_that_is_none_is_refused(pipeline):
    with pipeline.stream() as stream, pytest.raises(DataError, match="H, W, 3"):
        stream.push(np.zeros((10, 10), np.uint8), 0.0)


def test_a_closed_stream_says_so(pipeline, shown):
    with pipeline.stream() as stream:
        pass
    with pytest.raises(VidferError, match="closed"):
        stream.push(*shown[0])


def test_a_pipeline_that_reads_ahead_cannot_stream():
    with pytest.raises(ConfigError, match="causal"):
        Pipeline("default", device="cpu").stream()


def test_a_stream_keeps_no_vectors():
    kept = ["people.link=true", "people.keep_vectors=true", "people.across='folder'"]
    with pytest.raises(ConfigError, match=r"people\.keep_vectors"):
        Pipeline("live", device="cpu", settings=kept).stream()


def test_memory_does_not_grow_with_the_stream(pipeline, shown):
    still = shown[0][0][:120, :160]
    images = [shown[row][0] for row in range(4)]
    with pipeline.stream() as stream:

        def watch(first, count):
            for number in range(first, first + count):
                # somebody who is there, gone for two seconds, and there again as somebody new
                image = images[number % 4] if number % 60 < 30 else np.zeros_like(images[0])
                stream.push(image if number % 200 else still, number / 15)
            gc.collect()

        watch(0, 240)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        watch(240, 240)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    assert grown < 100_000, "one frame's tables are 20 kB"
