"""Damaged and truncated files give what can be decoded, at the right times, and say what is missing."""

from pathlib import Path

import numpy as np
import pytest
from fixtures.numbered_clips import make_clip, read_number

from vidfer.errors import BadVideo
from vidfer.types import DecodeReport, FrameBatch
from vidfer.video.probe import frame_times_seconds, probe
from vidfer.video.reader import DecoderFailed, choose_reader, open_reader

NUM_FRAMES = 60


def _read(path: Path, decoder: str = "auto") -> tuple[list[FrameBatch], DecodeReport]:
    probed = probe(path)
    reader = open_reader(probed, decoder=decoder)  # type: ignore[arg-type]
    batches = list(reader.read(np.arange(probed.num_frames), batch_size=8))
    indices = np.concatenate([b.frame_index for b in batches])
    np.testing.assert_array_equal(
        np.concatenate([b.pts_seconds for b in batches]), frame_times_seconds(probed)[indices]
    )
    assert np.all(np.diff(indices) > 0)
    return batches, reader.report()


def _right_numbers(batches: list[FrameBatch], *, fps: int = 25) -> int:
    """Count the pictures that carry the number that belongs to their time."""
    pairs = ((read_number(image), time) for b in batches for image, time in zip(b.images, b.pts_seconds, strict=True))
    return sum(number == round(time * fps) for number, time in pairs)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("clip.mp4", {"container_options": {"movflags": "faststart"}}),
        ("clip.mp4", {"container_options": {"movflags": "faststart"}, "options": {"bf": "2"}, "audio": True}),
        ("clip.mkv", {}),
        ("clip.avi", {"codec": "mpeg4"}),
    ],
)
def test_a_file_cut_at_60_percent_gives_its_beginning_and_says_so(
    tmp_path: Path, name: str, arguments: dict[str, object]
) -> None:
    path = make_clip(tmp_path / name, num_frames=NUM_FRAMES, width=320, height=256, **arguments)  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    batches, report = _read(path)
    assert report.reader == "pyav"
    assert report.truncated
    assert "cut short" in report.warnings[0]
    assert 20 < _right_numbers(batches) < NUM_FRAMES
    assert _right_numbers(batches) >= report.decoded_frames - 1


@pytest.mark.parametrize(("suffix", "size"), [("mp4", 40), ("mp4", 1500), ("ts", 40), ("ts", 1500), ("mkv", 1500)])
def test_damage_in_the_middle_costs_only_the_frames_near_it(tmp_path: Path, suffix: str, size: int) -> None:
    path = make_clip(tmp_path / f"clip.{suffix}", num_frames=NUM_FRAMES, gop=6, width=320, height=256)
    _damage(path, size)
    batches, report = _read(path)
    assert report.reader == "pyav"
    assert report.truncated
    assert any("damaged" in warning for warning in report.warnings)
    assert NUM_FRAMES * 0.7 < _right_numbers(batches) < NUM_FRAMES


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("avi", "mpeg4")])
def test_damage_that_only_decoding_shows_is_reported_by_pyav(tmp_path: Path, suffix: str, codec: str) -> None:
    path = make_clip(tmp_path / f"clip.{suffix}", num_frames=NUM_FRAMES, codec=codec, gop=6, width=320, height=256)
    _damage(path, 40)
    batches, report = _read(path, "pyav")
    assert report.corrupt_frames >= 1
    assert report.truncated
    assert NUM_FRAMES * 0.7 < _right_numbers(batches) < NUM_FRAMES


def _damage(path: Path, size: int) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + size] = np.random.default_rng(3).integers(0, 256, size, dtype=np.uint8).tobytes()
    path.write_bytes(data)


def test_counts_of_adjoining_ranges_add_up(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", num_frames=NUM_FRAMES, gop=6, width=320, height=256)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 1500] = bytes(1500)
    path.write_bytes(data)
    probed = probe(path)
    reader = open_reader(probed, decoder="pyav")
    list(reader.read(np.arange(probed.num_frames), batch_size=8))
    whole, parts = reader.report(), [reader.report(start=0, stop=31), reader.report(start=31)]
    for count in ("expected_frames", "decoded_frames", "bad_packets", "corrupt_frames"):
        assert getattr(whole, count) == sum(getattr(part, count) for part in parts)
    assert whole.truncated == any(part.truncated for part in parts)


def test_decord_gives_up_rather_than_give_wrong_frames(tmp_path: Path) -> None:
    pytest.importorskip("decord", reason="decord has wheels for x86-64 only")
    from vidfer.video.decord_reader import DecordReader

    path = make_clip(tmp_path / "clip.mp4", num_frames=NUM_FRAMES, gop=6, width=320, height=256)
    healthy = probe(path)
    _damage(path, 40)
    reader = DecordReader(healthy)
    with pytest.raises(DecoderFailed, match="--decoder auto") as caught:
        list(reader.read(np.arange(NUM_FRAMES), batch_size=8))
    assert (caught.value.reader, caught.value.path) == ("decord", str(path))
    path.write_bytes(make_clip(tmp_path / "shorter.mp4", num_frames=20, width=320, height=256).read_bytes())
    with pytest.raises(DecoderFailed, match="packets"):
        list(DecordReader(healthy).read(np.arange(NUM_FRAMES), batch_size=8))


def test_a_file_without_one_decodable_frame(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", num_frames=8)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = b"\xff" * (end - start)
    path.write_bytes(data)
    with pytest.raises(BadVideo) as caught:
        probe(path)
    assert caught.value.reason == "no_frames"


def test_a_healthy_file_has_nothing_to_report(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", num_frames=12, audio=True)
    for decoder in {"pyav", choose_reader(probe(path))}:
        _, report = _read(path, decoder)
        assert (report.truncated, report.warnings, report.bad_packets, report.corrupt_frames) == (False, (), 0, 0)
