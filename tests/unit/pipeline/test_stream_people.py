"""Who is who in a stream, and each person's own neutral: real clips, pushed frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from vidfer.faces.boxes import pairwise_iou
from vidfer.movements import REPORTED
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.emotions import EmotionsStage
from vidfer.pipeline.frame_stages import FrameStages
from vidfer.pipeline.pipeline import Pipeline
from vidfer.pipeline.stream import LiveFrame, Stream
from vidfer.pipeline.tables import Table, identity_in
from vidfer.timeline.movements import CHANGE

FPS = 10
LINK = ["people.link=true"]


@pytest.fixture(scope="module")
def linking() -> Pipeline:
    return Pipeline("live", device="cpu", settings=LINK)


def pictures(path: Path, count: int, *, every: int = 3, side: int = 200) -> list[np.ndarray]:
    """Return the first frames of a clip, a square of their middle."""
    with av.open(str(path)) as container:
        frames = [image.to_image() for _, image in zip(range(every * count), container.decode(video=0), strict=False)]
    return [np.asarray(ImageOps.fit(frame, (side, side), Image.Resampling.BILINEAR)) for frame in frames[::every]]


def beside(*columns: Sequence[np.ndarray] | None, side: int = 200) -> list[np.ndarray]:
    """Return pictures with people side by side; None: nobody is there."""
    count = max(len(column) for column in columns if column is not None)
    empty = [np.full((side, side, 3), 90, np.uint8)] * count
    return [np.concatenate(row, axis=1) for row in zip(*(column or empty for column in columns), strict=True)]


@pytest.fixture(scope="module")
def first(clips_folder: Path) -> list[np.ndarray]:
    return pictures(clips_folder / "d0.mp4", 8)


@pytest.fixture(scope="module")
def second(clips_folder: Path) -> list[np.ndarray]:
    return pictures(clips_folder / "d14.mp4", 8)


def followed(pipeline: Pipeline, images: Iterable[np.ndarray], *, fps: float = FPS) -> list[LiveFrame]:
    with pipeline.stream() as stream:
        return [stream.process(image, number / fps) for number, image in enumerate(images)]


def stacked(frames: Sequence[LiveFrame]) -> dict[str, Table]:
    return {name: type(table).stack([f.tables[name] for f in frames]) for name, table in frames[0].tables.items()}


def numbers(frames: Iterable[LiveFrame]) -> list[tuple[int, int]]:
    """Return (face_id, person_id) of all faces, in order."""
    return [(face.face_id, face.person_id) for frame in frames for face in frame.faces]


def test_who_comes_back_has_the_person_id_of_before_and_somebody_else_another(
    linking: Pipeline, first: list[np.ndarray], second: list[np.ndarray]
) -> None:
    frames = followed(linking, [*first, *second, *first[::-1], *second])
    found = numbers(frames)
    known = [pair for pair in dict.fromkeys(found) if pair[1] >= 0]
    assert known == [(0, 0), (1, 1), (2, 0), (3, 1)]
    waits = [found.index(pair) - [face for face, _ in found].index(pair[0]) for pair in known]
    assert max(waits) <= 3, "frames in which a track has a number and it is not known whose it is"
    table = stacked(frames)["people"]
    assert (table.confidence[table.person_id >= 0] >= 0.9).all()


def test_people_of_one_frame_never_share_a_number(linking: Pipeline, first: list[np.ndarray]) -> None:
    """The same man twice in the picture, as before a mirror; then once, then twice again."""
    shown = [*beside(first, first), *beside(None, first[:6]), *beside(first, first)]
    for frame in followed(linking, shown):
        known = [face.person_id for face in frame.faces if face.person_id >= 0]
        assert len(set(known)) == len(known)
    assert {face.person_id for face in frame.faces} == {0, 1}


def test_offline_and_stream_agree_who_is_who(
    linking: Pipeline, first: list[np.ndarray], second: list[np.ndarray]
) -> None:
    """Two who change places behind a cut, one of whom is alone in between."""
    nobody = beside([np.full_like(first[0], 90)] * 3, None)
    shown = [*beside(first, second), *nobody, *beside(second, None), *nobody, *beside(second, first)]
    clip = linking.frames(shown, fps=FPS)
    frames = followed(linking, shown)
    pairs = set()
    for row, frame in enumerate(frames):
        offline = clip.result.timeline.frame_row == row
        for face in frame.faces:
            if face.person_id >= 0:
                near = pairwise_iou(face.xyxy[None], clip.result.faces.xyxy[offline])[0].argmax()
                pairs.add((face.person_id, int(clip.result.people.person_id[offline][near])))
    assert len(pairs) == 2, pairs
    assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == 2


def test_tiles_that_swap_are_told_a_little_later(linking: Pipeline, shared_folder: Path) -> None:
    path = shared_folder / "cases" / "two_swap.mp4"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with av.open(str(path)) as container:
        images = [frame.to_ndarray(format="rgb24")[::2, ::2] for frame in container.decode(video=0)]
    frames = followed(linking, images[::5], fps=5)
    left = [(frame.seconds, face.person_id) for frame in frames for face in frame.faces if face.xyxy[0] < 200]
    before = {person for seconds, person in left if 1 < seconds < 2.9}
    behind = {person for seconds, person in left if seconds > 4.7}
    assert (before, behind) in (({0}, {1}), ({1}, {0}))


def test_without_the_setting_no_faces_are_compared_and_nothing_is_loaded(first: list[np.ndarray]) -> None:
    pipeline = Pipeline("live", device="cpu", settings=["people.network=none_such", "people.link=false"])
    frames = followed(pipeline, first[:6])
    assert numbers(frames)[-1] == (0, None)
    assert not {"people", "identity"} & set(frames[-1].tables)
    assert pipeline.stage("identity")._network is None


def test_vectors_are_not_handed_on(linking: Pipeline, first: list[np.ndarray]) -> None:
    frames = followed(linking, first[:6])
    assert "identity" not in frames[-1].tables
    assert frames[-1].faces[0].values == {}


def test_the_network_looks_at_few_faces(linking: Pipeline, first: list[np.ndarray]) -> None:
    looked = []
    network = linking.stage("identity")._loaded()
    with pytest.MonkeyPatch.context() as patch:
        embed = network.embed
        patch.setattr(network, "embed", lambda faces: looked.append(len(faces)) or embed(faces))
        followed(linking, [*first, *first[::-1], *first, *first[::-1]])
    assert 3 + 2 <= sum(looked) <= 3 + 4, "32 frames, 3.2 s"


@pytest.fixture(scope="module")
def smiling(clips_folder: Path) -> list[np.ndarray]:
    """A man who is neutral, then smiles: 3 s."""
    return pictures(clips_folder / "d0.mp4", 30)


def test_a_stretch_gives_the_offline_baseline_once_it_is_over(smiling: list[np.ndarray]) -> None:
    pipeline = Pipeline("live", device="cpu", settings=["emotions.baseline=[0.0, 1.2]"])
    frames = followed(pipeline, smiling)
    tables = stacked(frames)
    offline = offline_emotions(pipeline, tables)
    online = tables["emotions"]
    seconds = tables["faces"].pts_seconds[tables["faces"].detections().frame_row]
    plain = offline_emotions(Pipeline("live", device="cpu"), tables)
    counted = tables["tracks"].track_id >= 0
    early, late = counted & (seconds <= 1.2), counted & (seconds > 1.2)
    assert np.abs(offline.shift - plain.shift).max() > 0.05, "there is something to take off"
    assert np.abs(online.probabilities - plain.probabilities)[early].max() < 1e-3, "nothing is taken off before"
    assert np.abs(online.probabilities - offline.probabilities)[late].max() < 2e-3
    assert np.abs(online.shift - offline.shift)[late].max() < 2e-3


def offline_emotions(pipeline: Pipeline, tables: dict[str, Table]):
    """Return what the offline stage makes of a stream's faces: tracks hold their first two faces, too."""
    everybody = pipeline.stage("tracks").process(tables)
    stage: EmotionsStage = pipeline.stage("emotions")
    return stage.process({**tables, "tracks": everybody})


def test_what_was_seen_so_far_comes_near_the_whole_clip(smiling: list[np.ndarray]) -> None:
    pipeline = Pipeline("live", device="cpu", settings=["emotions.baseline=clip"])
    tables = stacked(followed(pipeline, smiling[:21]))  # up to a moment at which it is brought up to date
    offline, online = offline_emotions(pipeline, tables), tables["emotions"]
    apart = np.abs(online.shift - offline.shift).max(1)
    assert apart[0] > 0.5
    assert apart[-1] < 0.01
    assert np.abs(online.probabilities - offline.probabilities)[-1].max() < 0.001


def test_who_comes_back_keeps_the_baseline(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    shown = [*first, *second, *first]
    shifts = []
    for link in ("true", "false"):
        settings = [f"people.link={link}", "emotions.baseline=[0.0, 0.7]"]
        tables = stacked(followed(Pipeline("live", device="cpu", settings=settings), shown))
        shifts.append(tables["emotions"].shift[[-1, 0]])
    linked, unlinked = (last - before for last, before in shifts)
    assert np.abs(linked).max() > 0.05
    assert not unlinked.any(), "a new track is nobody who was seen neutral"


def test_movements_are_given_raw_and_less_the_persons_own(smiling: list[np.ndarray]) -> None:
    settings = ["movements.enabled=true", "movements.baseline=clip", *LINK]
    pipeline = Pipeline("live", device="cpu", settings=settings)
    frames = followed(pipeline, smiling)
    faces = [face for frame in frames for face in frame.faces]
    assert list(faces[0].values)[: len(REPORTED)] == list(REPORTED)
    assert np.isnan(faces[0].values["smile_left" + CHANGE]), "not known in the first second"
    last = faces[-1].values
    for name in REPORTED:
        own = np.median([face.values[name] for face in faces])
        assert last[name + CHANGE] == pytest.approx(last[name] - own, abs=0.05)


@dataclass(frozen=True, kw_only=True)
class LengthsTable(Table):
    vector_length: np.ndarray  # (N,) float32


class LengthsStage:
    """How long the vector of each face is by which people are compared."""

    def process(self, chunk: FrameChunk, tables: Mapping[str, Table]) -> LengthsTable:
        table = identity_in(tables)
        assert table is not None
        lengths = np.linalg.norm(table.vectors.astype(np.float32), axis=1)
        return LengthsTable(vector_length=lengths[table.vector_of()])

    def empty(self) -> LengthsTable:
        return LengthsTable(vector_length=np.zeros(0, np.float32))

    def load(self) -> bool:
        return True


def test_a_further_stage_may_read_the_vectors_of_faces_which_are_not_handed_on(
    linking: Pipeline, first: list[np.ndarray]
) -> None:
    own = linking.frame_stages
    inputs = {**dict.fromkeys(own.stages, ("faces",)), "faces": (), "lengths": ("identity",)}
    more = FrameStages({**own.stages, "lengths": LengthsStage()}, inputs=inputs, device=own.device)
    clip_stages = {stage.name: linking.stage(stage.name) for stage in linking.clip_stages}
    with Stream(linking.config, frame_stages=more, clip_stages=clip_stages) as stream:
        frames = [stream.process(image, number / FPS) for number, image in enumerate(first)]
    assert frames[-1].faces[0].values["vector_length"] == pytest.approx(1, abs=0.01)
    assert "identity" not in frames[-1].tables
    assert numbers(frames) == numbers(followed(linking, first))
