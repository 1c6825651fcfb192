import os
from pathlib import Path

import av
import numpy as np
import pytest
from fixtures.numbered_clips import draw_number, joined_clips, make_audio, make_clip, read_number
from fixtures.stream_files import with_early_sound

from vidfer.errors import BadVideo
from vidfer.video.packets import clean_keyframes
from vidfer.video.probe import frame_times_seconds, is_video, probe
from vidfer.video.reader import decord_objection, open_reader


def _bad(path: Path) -> BadVideo:
    with pytest.raises(BadVideo) as caught:
        probe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_it_tells_size_rate_codec_and_fingerprint(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", num_frames=20, fps=10, rotation=90, audio=True)
    info = probe(path, fingerprint="abc").info
    assert (info.width, info.height, info.rotation_degrees) == (128, 160, 270)
    assert (info.codec, info.num_frames, info.fingerprint, info.path) == ("h264", 20, "abc", str(path))
    assert info.duration_seconds == pytest.approx(2.0)
    assert info.average_fps == pytest.approx(10.0)


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n"]
)
def test_a_list_does_not_lead_to_other_files(tmp_path: Path, text: str) -> None:
    make_clip(tmp_path / "secret.mp4", num_frames=20)
    for name in ("secret.mp4", "itself"):  # which FFmpeg would open until there are no file handles left
        (tmp_path / "itself").write_text(text.format(name))
        assert "this is a list of other files, not a video" in str(_bad(tmp_path / "itself"))


def test_times_of_a_variable_rate_are_the_containers(tmp_path: Path) -> None:
    times = [3000, 3010, 3500, 3533, 9000]
    path = make_clip(tmp_path / "clip.mkv", num_frames=5, pts_ms=times)
    assert frame_times_seconds(probe(path)).tolist() == pytest.approx([0.0, 0.01, 0.5, 0.533, 6.0])


def test_frames_that_share_a_time_each_get_one(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    plain = make_clip(tmp_path / "plain.mkv", num_frames=6, codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(str(plain)) as source, av.open(str(path), "w") as output:
        video = source.streams.video[0]
        stream = output.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.size:
                packet.stream = stream
                packet.pts = packet.dts = (0, 40, 40, 80, 120, 160)[round(packet.pts / 40)]
                output.mux_one(packet)
    probed = probe(path)
    assert frame_times_seconds(probed).tolist() == pytest.approx([0.0, 0.04, 0.06, 0.08, 0.12, 0.16])
    assert "share the time" in probed.warnings[0]
    batches = list(open_reader(probed).read(np.arange(6), batch_size=8))
    assert [read_number(image) for image in batches[0].images] == list(range(6))


def test_keyframes_of_an_open_gop_are_not_clean(tmp_path: Path) -> None:
    closed = probe(make_clip(tmp_path / "closed.mp4", num_frames=30, gop=10, options={"bf": "2"}))
    options = {"x264-params": "open-gop=1:bframes=3:keyint=10:b-adapt=0"}
    opened = probe(make_clip(tmp_path / "open.mp4", num_frames=30, options=options))
    assert len(clean_keyframes(closed.packets)) == np.count_nonzero(closed.packets.is_keyframe) > 2
    assert len(clean_keyframes(opened.packets)) < np.count_nonzero(opened.packets.is_keyframe)


def test_frames_before_an_edit_list_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "trimmed.mp4"
    source_path = make_clip(tmp_path / "whole.mp4", num_frames=30, gop=10, options={"bf": "2"})
    with av.open(str(source_path)) as source, av.open(str(path), "w") as output:
        video = source.streams.video[0]
        stream = output.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.size:
                packet.stream = stream
                packet.pts, packet.dts = packet.pts - 7 * 512, packet.dts - 7 * 512
                output.mux_one(packet)
    probed = probe(path)
    assert probed.num_frames == 23
    batches = list(open_reader(probed).read(np.arange(23), batch_size=23))
    assert [read_number(image) for image in batches[0].images] == list(range(7, 30))
    assert batches[0].pts_seconds.tolist() == pytest.approx([i / 25 for i in range(23)])


def test_a_change_of_size_is_seen_and_sent_to_pyav(tmp_path: Path) -> None:
    for codec, suffix, pix_fmt in (
        ("libvpx", "mkv", "yuv420p"),
        ("mjpeg", "mkv", "yuvj420p"),
        ("mpeg4", "ts", "yuv420p"),
    ):
        parts = [
            make_clip(tmp_path / f"{codec}{width}.{suffix}", num_frames=4, codec=codec, width=width, pix_fmt=pix_fmt)
            for width in (160, 320)
        ]
        formats = {"mkv": "matroska", "ts": "mpegts"}
        both = joined_clips(tmp_path / f"{codec}.{suffix}", parts, container_format=formats[suffix])
        assert probe(both).size_changes, codec
        assert "changes" in (decord_objection(probe(both)) or "")
        assert not probe(parts[0]).size_changes


def test_a_name_with_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "clip.mp4", num_frames=2).rename("12:30 ä.mp4")
    assert probe("12:30 ä.mp4").info.path == "12:30 ä.mp4"


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.write_bytes(b"")
    assert (_bad(path).reason, "0 bytes" in _bad(path).detail) == ("unreadable", True)


def test_text_named_mp4(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("this is no video\n" * 100)
    assert (_bad(path).reason, "not a video" in _bad(path).detail) == ("unreadable", True)


def test_sound_only(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "sound.mp4")
    assert (_bad(path).reason, "only audio" in _bad(path).detail) == ("no_video_stream", True)
    assert not is_video(path)


def test_a_missing_index(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert (_bad(path).reason, "moov" in _bad(path).detail) == ("unreadable", True)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "does not exist" in _bad(tmp_path / "nothing.mp4").detail
    assert "folder" in _bad(tmp_path).detail


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", num_frames=2)
    path.chmod(0)
    assert "permission" in _bad(path).detail


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as output:
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 160, 128, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        with av.open(str(make_audio(tmp_path / "sound.mp4"))) as source:
            sound = source.streams.audio[0]
            target = output.add_stream_from_template(sound)
            picture = av.VideoFrame.from_ndarray(draw_number(1), "rgb24").reformat(format="yuvj420p")
            output.mux(cover.encode(picture))
            output.mux(cover.encode(None))
            for packet in source.demux(sound):
                if packet.size:
                    packet.stream = target
                    output.mux(packet)
    assert (_bad(path).reason, "cover art" in _bad(path).detail) == ("no_video_stream", True)
    assert not is_video(path)


def test_an_animated_webp_is_named(tmp_path: Path) -> None:
    from PIL import Image

    pictures = [Image.new("RGB", (160, 120), (shade, 0, 0)) for shade in (10, 120, 250)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=100)
    assert "no animated WebP: save it as a video or a GIF" in str(_bad(tmp_path / "a.webp"))


def test_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "none.mp4"
    with av.open(str(path), "w", options={"movflags": "empty_moov"}) as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        output.start_encoding()
    assert _bad(path).reason in ("no_frames", "no_video_stream")


def test_a_long_last_packet_does_not_slow_the_average_rate(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mp4", num_frames=50, options={"bf": "0"})
    path = tmp_path / "long.mp4"
    with av.open(str(plain)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(source.streams.video[0]) if p.size):
            if number == 49:
                packet.duration = round(600 / packet.time_base)
            packet.stream = stream
            output.mux_one(packet)
    info = probe(path).info
    assert info.duration_seconds == pytest.approx(49 / 25 + 600, abs=0.1)
    assert info.average_fps == pytest.approx(25)


@pytest.mark.parametrize(("transfer", "name"), [("arib-std-b67", "HLG"), ("smpte2084", "PQ"), ("bt709", "")])
def test_hdr_is_said(tmp_path: Path, transfer: str, name: str) -> None:
    colours = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:log-level=none"
    path = make_clip(
        tmp_path / "a.mp4", num_frames=5, codec="libx265", pix_fmt="yuv420p10le", options={"x265-params": colours}
    )
    warnings = probe(path).warnings
    assert [f"HDR ({name})" in warning for warning in warnings] == ([True] if name else [])


def test_the_first_pictures_time_on_the_clock_that_players_show(tmp_path: Path) -> None:
    pictures = [draw_number(number) for number in range(10)]
    for suffix, codec, sound in (
        (".mkv", "libx264", "libopus"),
        (".webm", "libvpx", "libopus"),
        (".ts", "libx264", "mp2"),
    ):
        path = with_early_sound(tmp_path / f"a{suffix}", pictures, codec=codec, sound=sound, start=2.0)
        probed = probe(path)
        assert probed.info.start_seconds == pytest.approx(2.0, abs=0.05), suffix
        assert frame_times_seconds(probed)[0] == 0.0
    assert probe(make_clip(tmp_path / "b.ts", num_frames=10)).info.start_seconds == 0.0  # its clock begins at 1.4 s
    assert probe(make_clip(tmp_path / "b.mp4", num_frames=10)).info.start_seconds == 0.0
