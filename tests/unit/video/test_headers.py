"""What the first bytes of packets say."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from av.bitstream import BitStreamFilterContext
from fixtures.numbered_clips import make_clip
from fixtures.stream_files import images_and_times, joined_bytes

from vidfer.video import headers
from vidfer.video.probe import probe


def first_packet(path: Path) -> bytes:
    with av.open(str(path)) as opened:
        return bytes(next(opened.demux(opened.streams.video[0])))


@pytest.mark.parametrize(
    ("codec", "name"),
    [("libx264", "h264"), ("libvpx", "vp8"), ("libvpx-vp9", "vp9"), ("libsvtav1", "av1"), ("mpeg2video", "mpeg2video")],
)
def test_a_keyframe_tells_that_the_size_is_another(tmp_path: Path, codec: str, name: str) -> None:
    suffix = "ts" if codec in ("libx264", "mpeg2video") else "webm"
    signs = []
    for number, (width, height) in enumerate(((160, 128), (160, 128), (320, 256))):
        path = tmp_path / f"{number}.{suffix}"
        make_clip(path, num_frames=12, codec=codec, width=width, height=height, first_number=number)
        signs.append(headers.size_signature(name, first_packet(path)))
    assert signs[0] is not None
    assert signs[0] == signs[1] != signs[2]


def vp9_frame(bits: str) -> bytes:
    """Return a frame between keyframes: marker, profile 0, shown, not resilient, and then these bits."""
    head = "10" + "00" + "0" + "1" + "1" + "0" + "00" + "0" * 8 + "0000" * 3 + bits
    return int(head.ljust(128, "0"), 2).to_bytes(16, "big")


def test_vp9_pictures_as_large_as_a_reference_do_not_resize() -> None:
    for found in ("1", "01", "001"):
        assert not headers.resizes("vp9", vp9_frame(found))
    assert headers.resizes("vp9", vp9_frame("000"))
    assert not headers.resizes("vp8", vp9_frame("000"))
    assert not headers.resizes("vp9", b"")


def test_a_recording_that_is_turned_between_keyframes_is_seen(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.ts", num_frames=30, options={"bf": "0"})
    turned = tmp_path / "turned.ts"
    with av.open(str(plain)) as source, av.open(str(turned), "w") as output:
        video = source.streams.video[0]
        stream = output.add_stream_from_template(video)
        turn = BitStreamFilterContext("h264_metadata=rotate=90:display_orientation=insert", video, stream)
        for packet in (packet for packet in source.demux(video) if packet.size):
            for filtered in turn.filter(packet):
                filtered.stream = stream
                output.mux_one(filtered)
    both = probe(joined_bytes(tmp_path / "both.ts", [plain, turned]))
    assert both.size_changes
    assert {display.quarter_turns for display in both.displays} == {0, 1}
    images, _ = images_and_times(both)
    assert len(images) == 60
    assert (both.info.width, both.info.height) == (160, 128)
    assert (images[-1][:, :20] == 0).all()  # upright in the middle
    assert (images[0][:, :20] != 0).any()
    assert "changes its size or position" in both.warnings[-1]
