"""Pictures of a size that only damage, or malice, claims: refused before memory is taken for them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from fixtures.fuzz_tasks import peak, reset_peak
from fixtures.numbered_clips import make_clip

from vidfer.errors import BadVideo
from vidfer.video.probe import probe

HUGE = 16_000


def claim(path: Path, *, container: bool) -> None:
    """Write 16000 x 16000 into the headers of a PNG video, and into the container's too if asked."""
    data = bytearray(path.read_bytes())
    at = data.find(b"IHDR")
    while at >= 0:
        data[at + 4 : at + 12] = struct.pack(">II", HUGE, HUGE)
        at = data.find(b"IHDR", at + 4)
    if container:
        entry = data.rfind(b"png ", 0, data.rfind(b"stts"))
        assert struct.unpack_from(">HH", data, entry + 28) == (64, 48)
        struct.pack_into(">HH", data, entry + 28, HUGE, HUGE)
    path.write_bytes(data)


@pytest.mark.parametrize("container", [False, True], ids=["pictures", "header"])
def test_a_size_beyond_8k_is_refused_before_memory_is_taken(tmp_path: Path, container: bool) -> None:
    path = make_clip(tmp_path / "a.mov", codec="png", pix_fmt="rgb24", num_frames=3, width=64, height=48)
    assert probe(path).num_frames == 3
    claim(path, container=container)
    reset_peak()
    before = peak()
    with pytest.raises(BadVideo, match="38 million pixels: then scale it down"):
        probe(path)
    assert peak() - before < 100 << 20  # one such picture alone has 768 MB
