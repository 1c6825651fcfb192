"""Where results go: one folder per clip, inside --out, whatever the clips are called."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from vidfer.store.layout import MAX_NAME_BYTES, RESERVED, clip_ids
from vidfer.video.find import FoundVideo


def found(*names: str, folder: str = "/videos") -> list[FoundVideo]:
    return [FoundVideo(Path(folder) / name, Path(name)) for name in names]


def test_folders_mirror_the_input_tree() -> None:
    assert clip_ids(found("a.mp4", "day 1/b.mov")) == ["a", "day 1/b"]


def test_the_suffix_stays_where_names_would_coincide() -> None:
    assert clip_ids(found("a.mp4", "a.mov", "b.mp4")) == ["a.mp4", "a.mov", "b"]


def test_case_alone_does_not_tell_clips_apart() -> None:
    assert clip_ids(found("A.mp4", "a.mov")) == ["A.mp4", "a.mov"]


def test_two_folders_with_the_same_names_keep_apart() -> None:
    videos = found("a.mp4", folder="/x/one") + found("a.mp4", folder="/x/two")
    assert clip_ids(videos) == ["one/a.mp4", "two/a.mp4"]


def test_vidfers_own_names_are_avoided() -> None:
    assert clip_ids(found("summary.csv.mp4", "index.html.mp4")) == ["summary.csv_", "index.html_"]


def test_dots_in_names_survive() -> None:
    assert clip_ids(found("s01.e02.mp4", ".hidden")) == ["s01.e02", ".hidden"]


names = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=90
).filter(lambda name: name not in (".", ".."))


@given(st.lists(st.lists(names, min_size=1, max_size=3), min_size=1, max_size=8, unique_by=tuple))
def test_ids_are_distinct_safe_and_stable(parts: list[list[str]]) -> None:
    videos = [FoundVideo(Path("/videos", *p), Path(*p)) for p in parts]
    ids = clip_ids(videos)
    assert ids == clip_ids(videos)
    assert len({clip_id.casefold() for clip_id in ids}) == len(ids)
    for clip_id in ids:
        path = PurePosixPath(clip_id)
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert path.parts[0].casefold() not in RESERVED
        assert all(len(part.encode()) <= MAX_NAME_BYTES + 12 for part in path.parts)
