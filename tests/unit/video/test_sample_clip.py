"""The sample that vidfer makes itself."""

from pathlib import Path

from vidfer.video.sample_clip import write_sample


def test_it_is_the_same_bytes_each_time(sample_video: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == sample_video.read_bytes()
