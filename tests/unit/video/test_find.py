import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.numbered_clips import make_audio, make_clip

from vidfer.errors import VidferError
from vidfer.exporters import EXPORTERS, VideoExporter
from vidfer.video.find import OWN_VIDEOS, find_videos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "videos"
    (root / "b" / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("z.mp4", "A.MP4", "b/deep/broken.mkv", ".hidden/h.mp4", "b/.dot.mp4"):
        (root / name).write_bytes(b"")
    for name in ("notes.txt", "table.csv", "image.png"):
        (root / name).write_bytes(b"\0" * 64)
    return root


def _relative(paths: list[str | Path]) -> list[str]:
    return [str(video.relative) for video in find_videos(paths)]


def test_a_folder_is_searched_sorted_and_without_hidden_files(folder: Path) -> None:
    assert _relative([folder]) == ["A.MP4", "z.mp4", "b/deep/broken.mkv"]


def test_an_unknown_suffix_is_judged_by_content(folder: Path) -> None:
    make_clip(folder / "camera.0001", num_frames=2, container_format="mp4")
    make_audio(folder / "sound.mp4").rename(folder / "sound.0002")
    (folder / "letter").write_text("not a video " * 50)
    (folder / "empty").write_bytes(b"")
    assert "camera.0001" in _relative([folder])
    assert not {"sound.0002", "letter", "empty"} & set(_relative([folder]))


def test_a_gif_is_a_video_where_it_moves(folder: Path) -> None:
    make_clip(folder / "moving.gif", codec="gif", pix_fmt="rgb8", num_frames=3)
    make_clip(folder / "still.gif", codec="gif", pix_fmt="rgb8", num_frames=1)
    (folder / "broken.gif").write_bytes(b"GIF89a")
    found = _relative([folder])
    assert "moving.gif" in found
    assert not {"still.gif", "broken.gif"} & set(found)
    assert _relative([folder / "still.gif"]) == ["still.gif"]


def test_a_file_is_taken_whatever_it_is(folder: Path) -> None:
    assert _relative([folder / "notes.txt", folder / "b" / "deep" / "broken.mkv"]) == ["notes.txt", "broken.mkv"]


def test_a_pattern_stands_for_its_matches_below_its_fixed_part(folder: Path) -> None:
    assert _relative([folder / "**" / "*.mkv"]) == ["b/deep/broken.mkv"]
    assert _relative([str(folder / "*")]) == ["A.MP4", "b/deep/broken.mkv", "z.mp4"]


def test_a_name_with_brackets_is_a_file_first(folder: Path) -> None:
    (folder / "take[1].mp4").write_bytes(b"")
    assert _relative([folder / "take[1].mp4"]) == ["take[1].mp4"]


def test_a_file_given_twice_is_found_once(folder: Path) -> None:
    assert _relative([folder / "z.mp4", folder]) == ["z.mp4", "A.MP4", "b/deep/broken.mkv"]


def test_links_are_followed_once(folder: Path) -> None:
    (folder / "b" / "loop").symlink_to(folder, target_is_directory=True)
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "o.mp4").write_bytes(b"")
    (folder / "link").symlink_to(outside, target_is_directory=True)
    assert _relative([folder]) == ["A.MP4", "z.mp4", "b/deep/broken.mkv", "link/o.mp4"]


@pytest.mark.parametrize(
    ("given", "message"),
    [("missing.mp4", "no such file"), ("*.nothing", "no video matches"), ("empty", "no video in this folder")],
)
def test_what_gives_no_video_is_an_error_that_names_it(tmp_path: Path, given: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(VidferError, match=message) as caught:
        find_videos([tmp_path / given])
    assert given in str(caught.value)


def test_finding_known_suffixes_imports_neither_numpy_nor_av(folder: Path) -> None:
    code = (
        "import sys; from vidfer.video.find import find_videos; find_videos([sys.argv[1]]);"
        "assert not {'numpy', 'av', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


@pytest.mark.parametrize("out", ["results", "."])
def test_videos_that_vidfer_wrote_below_the_input_are_no_input(folder: Path, out: str) -> None:
    results = folder / out
    for name in (".vidfer/cache/x", "z/overlay.mp4", "b/deep/broken/overlay_blurred.mp4"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_bytes(b"")
    (folder / "overlay.mp4").write_bytes(b"")  # the user's own
    assert _relative([folder]) == ["A.MP4", "overlay.mp4", "z.mp4", "b/deep/broken.mkv"]
    assert _relative([results / "z" / "overlay.mp4"]) == ["overlay.mp4"]  # who names it means it


def test_the_names_passed_over_are_those_that_exporters_write() -> None:
    videos = [EXPORTERS.get(name) for name in EXPORTERS.names() if isinstance(EXPORTERS.get(name), VideoExporter)]
    assert {name for exporter in videos for name in exporter.filenames} == OWN_VIDEOS


@pytest.mark.parametrize(
    ("names", "expected"),
    [([], "it is empty"), ([".a.mp4"], "only hidden files"), (["b.txt", "a.pdf", ".c"], "only a.pdf, b.txt$")],
)
def test_a_folder_without_videos_says_what_it_has(tmp_path: Path, names: list[str], expected: str) -> None:
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(VidferError, match=f"no video in this folder or below it, {expected}"):
        find_videos([tmp_path])


@pytest.mark.parametrize(
    "text",
    [
        b"export const tau: number = 6.28;\n",
        "// grüße 日本\r\nexport {};\r\n".encode() * 400,
        "\ufeffimport x from 'y';".encode(),
        "export {};".encode("utf-16"),
        b'<?xml version="1.0"?><TS version="2.1"></TS>',
    ],
)
def test_programs_named_ts_are_no_video_and_recordings_are(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "program.ts").write_bytes(text)
    (tmp_path / "module.mts").write_bytes(text)
    (tmp_path / "text.mp4").write_bytes(text)  # not a program's suffix: a broken video, to be reported
    make_clip(tmp_path / "a.ts", num_frames=5)
    (tmp_path / "cut.ts").write_bytes((tmp_path / "a.ts").read_bytes()[300:1000])
    (tmp_path / "empty.ts").touch()
    expected = ["a.ts", "cut.ts", "empty.ts", "text.mp4"]
    assert [video.path.name for video in find_videos([tmp_path])] == expected
    assert [video.path.name for video in find_videos([tmp_path / "*.ts"])] == expected[:3]
    assert len(find_videos([tmp_path / "program.ts"])) == 1  # what is named is taken
