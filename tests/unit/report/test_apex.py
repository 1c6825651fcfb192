"""Pictures of apex frames: which, how they are cut, where they stand."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from PIL import Image

from vidfer.report.apex import MAX_PER_FACE, apex_episodes, cut_out, face_row_at, side_by_side
from vidfer.report.chart import timeline_chart, timeline_svg
from vidfer.report.chart_options import ApexFrame, ChartOptions
from vidfer.report.html import render_report
from vidfer.types import ClipResult

GREEN = (17, 211, 60)  # in no palette


def green_options(clip: ClipResult) -> ChartOptions:
    picture = np.full((40, 40, 3), GREEN, np.uint8)
    return ChartOptions(
        apexes=tuple(
            ApexFrame(
                track_id=episode.track_id,
                emotion=episode.emotion,
                seconds=episode.peak_seconds,
                picture=picture,
                probability=episode.peak_probability,
            )
            for episode in apex_episodes(clip)
        )
    )


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_expressions_are_shown_and_neutral_is_not() -> None:
    clip = make_clip(seconds=60, faces=2)
    chosen = apex_episodes(clip)
    assert {episode.emotion for episode in clip.segments} > {"neutral"}
    assert all(episode.emotion != "neutral" for episode in chosen)
    assert [(e.track_id, e.peak_seconds) for e in chosen] == sorted((e.track_id, e.peak_seconds) for e in chosen)
    assert {episode.track_id for episode in chosen} == {0, 1}


def test_a_face_that_is_never_anything_but_neutral_is_shown_so() -> None:
    clip = make_clip(seconds=20)
    neutral = [segment for segment in clip.segments if segment.emotion == "neutral"]
    assert apex_episodes(dataclasses.replace(clip, segments=tuple(neutral))) == neutral


def test_of_many_episodes_the_most_probable_are_shown_in_order_of_time() -> None:
    clip = make_clip(seconds=600, fps=10)
    chosen = apex_episodes(clip)
    assert len(chosen) == MAX_PER_FACE
    assert [episode.peak_seconds for episode in chosen] == sorted(episode.peak_seconds for episode in chosen)
    left_out = [e for e in clip.segments if e.emotion != "neutral" and e not in chosen]
    assert min(e.peak_probability for e in chosen) >= max(e.peak_probability for e in left_out)


def test_the_face_at_a_peak_is_the_persons_in_that_frame() -> None:
    clip = make_clip(seconds=20, faces=3, gaps=[(1, 3, 5)], dropped=[(0, 4)])
    for episode in apex_episodes(clip):
        row = face_row_at(clip, episode)
        assert clip.timeline.track_id[row] == episode.track_id
        assert clip.frames.pts_seconds[clip.timeline.frame_row[row]] == pytest.approx(episode.peak_seconds)


def test_a_picture_has_the_face_in_its_middle_and_black_beyond_the_edge() -> None:
    frame = np.full((100, 200, 3), 90, np.uint8)
    frame[10:50, 0:40] = GREEN  # at the left edge
    picture = cut_out(frame, np.array([0, 10, 40, 50]), size=52)
    assert picture.shape == (52, 52, 3)
    np.testing.assert_array_equal(picture[26, 26], GREEN)
    assert (picture[:, 0] == 0).all()
    np.testing.assert_array_equal(picture[26, -1], (90, 90, 90))


def test_pictures_stand_beside_each_other_as_near_to_their_moments_as_they_fit() -> None:
    np.testing.assert_allclose(side_by_side([2.0, 5.0], width=1, low=0, high=10), [2, 5])
    np.testing.assert_allclose(side_by_side([5.0, 5.0], width=1, low=0, high=10), [4.5, 5.5])
    np.testing.assert_allclose(side_by_side([0.0, 10.0], width=1, low=0, high=10), [0.5, 9.5])
    rng = np.random.default_rng(0)
    for count in range(12):
        places = side_by_side(np.sort(rng.uniform(0, 11, count)), width=0.97, low=-0.2, high=11.12)
        assert (np.diff(places) >= 0.97 - 1e-9).all()
        assert (places >= -0.2 + 0.485 - 1e-9).all()
        assert (places <= 11.12 - 0.485 + 1e-9).all()


@pytest.mark.parametrize("faces", [1, 3])
def test_a_chart_shows_the_pictures_below_its_axis(faces: int) -> None:
    clip = make_clip(seconds=20, faces=faces)
    options = green_options(clip)
    plain, shown = pixels_of(timeline_chart(clip).png), pixels_of(timeline_chart(clip, options=options).png)
    assert shown.shape[0] > plain.shape[0] + 100 * faces
    green = (shown == GREEN).all(axis=-1)
    one = 0.84 * 150 - 2.4 / 72 * 150  # px: inside its frame
    assert green.sum() == pytest.approx(len(options.apexes) * one**2, rel=0.02)
    assert not (plain == GREEN).all(axis=-1).any()
    assert timeline_chart(clip, options=options).png == timeline_chart(clip, options=options).png
    assert timeline_svg(clip, options=options).count(b"<image") == len(options.apexes)


def test_a_report_shows_them_as_buttons_and_keeps_no_picture_unasked() -> None:
    clip = make_clip(seconds=20, faces=2)
    options = green_options(clip)
    assert render_report(clip, options=options).count(b'<button data-seconds="') == len(options.apexes) > 2
    plain = render_report(clip)
    assert b"<button data-seconds" not in plain
    assert plain.count(b"data:image/png") == 1  # the still chart


def test_why_there_are_no_pictures_is_said() -> None:
    clip = make_clip(seconds=2)
    options = ChartOptions(note="No pictures: the video is no longer where it was.")
    assert pixels_of(timeline_chart(clip, options=options).png).shape[0] > pixels_of(timeline_chart(clip).png).shape[0]
    assert b"the video is no longer where it was" in render_report(clip, options=options)
