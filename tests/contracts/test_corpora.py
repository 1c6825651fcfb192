"""What every corpus that manifests are built of promises, and what each finds in a folder laid out as the real one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from fixtures.corpus_folders import AFF_WILD2_PTS_MS, MAKERS

from vidfer.errors import ConfigError, DataError
from vidfer.labels import EMOTIONS
from vidfer.learning.datasets.build_manifest import BuiltManifest, build_manifest
from vidfer.learning.datasets.corpora import CORPORA
from vidfer.learning.datasets.corpus_description import described_corpora, read_description
from vidfer.learning.datasets.manifest import SPLITS, Manifest, read_manifest, write_manifest
from vidfer.learning.datasets.valence_arousal import read_valence_arousal

NUM_ROWS = {
    "ravdess": 24, "crema-d": 19, "savee": 28, "enterface": 37, "ck+": 6, "afew": 14, "dfew": 10, "ferv39k": 14,
    "aff-wild2": 6,
}  # fmt: skip


@pytest.fixture(params=CORPORA.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(name: str, tmp_path: Path, **options: int) -> BuiltManifest:
    folder = tmp_path / "corpus"
    if not folder.exists():
        MAKERS[name](folder)
    return build_manifest(name, folder, media=tmp_path / "clips", **options)


def rows(manifest: Manifest, *columns: str) -> dict[str, tuple[object, ...]]:
    return {
        clip_id: tuple(getattr(manifest, column)[row] for column in columns)
        for row, clip_id in enumerate(manifest.clip_id)
    }


def test_is_described(name: str) -> None:
    description = read_description(name)
    assert description.labels
    assert description.label_level in ("clip", "frame")


def test_finds_every_clip_and_survives_a_round_trip(name: str, tmp_path: Path) -> None:
    manifest = build(name, tmp_path).manifest
    assert len(manifest) == NUM_ROWS[name]
    write_manifest(manifest, tmp_path / "out.csv")
    again = read_manifest(tmp_path / "out.csv")
    assert (again.clip_id, again.path, again.sha256) == (manifest.clip_id, manifest.path, manifest.sha256)
    assert (again.subject_id, again.split, again.label) == (manifest.subject_id, manifest.split, manifest.label)
    np.testing.assert_array_equal(again.start_seconds, manifest.start_seconds)
    np.testing.assert_array_equal(again.end_seconds, manifest.end_seconds)


def test_maps_labels_onto_the_eight_and_splits_by_subject(name: str, tmp_path: Path) -> None:
    manifest = build(name, tmp_path).manifest
    assert set(manifest.label) <= set(EMOTIONS)
    assert len(set(manifest.split)) > 1
    assert set(manifest.split) <= set(SPLITS)
    splits_of: dict[str, set[str]] = {}
    for subject, split in zip(manifest.subject_id, manifest.split, strict=True):
        splits_of.setdefault(subject, set()).add(split)
    assert all(len(splits) == 1 for subject, splits in splits_of.items() if subject)


def test_gives_the_same_manifest_every_time(name: str, tmp_path: Path) -> None:
    for out in ("one.csv", "two.csv"):
        write_manifest(build(name, tmp_path).manifest, tmp_path / out)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_digests_are_those_of_the_files(name: str, tmp_path: Path) -> None:
    manifest = build(name, tmp_path).manifest
    for path, digest in zip(manifest.path, manifest.sha256, strict=True):
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_wrong_folder_says_what_was_expected_and_found(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "beach").mkdir(parents=True)
    (folder / "beach" / "film.mp4").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"no clips of .*: expected .*; found 1 \(beach\)\. Give the folder .*http"
    ) as caught:
        build_manifest(name, folder, media=tmp_path)
    assert CORPORA.get(name).layout in str(caught.value)
    with pytest.raises(DataError, match="no such folder"):
        build_manifest(name, tmp_path / "nowhere", media=tmp_path)


def test_every_corpus_has_a_folder_to_test_it_on() -> None:
    assert sorted(MAKERS) == CORPORA.names()


@pytest.mark.parametrize("corpus", described_corpora())
def test_every_description_parses_and_is_complete(corpus: str) -> None:
    description = read_description(corpus)
    assert description.citation
    assert description.licence.name
    assert description.source.url.startswith("http")


def test_the_corpora_of_the_shipped_models_are_described() -> None:
    assert {"fer2013", "ferplus", "lfw", "flickr8k", "imagenet-samples"} <= set(described_corpora())


def test_an_unknown_corpus_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'ravdess'"):
        build_manifest("ravdes", tmp_path, media=tmp_path)


def test_ravdess_takes_speech_with_sound_and_calm_as_neutral(tmp_path: Path) -> None:
    built = build("ravdess", tmp_path)
    found = rows(built.manifest, "subject_id", "split", "label")
    assert found["01-01-02-01-01-01-01"] == ("01", "train", "neutral")
    assert found["01-01-06-01-01-01-17"] == ("17", "validation", "fear")
    assert found["01-01-08-01-01-01-24"] == ("24", "test", "surprise")
    assert any("1 sung" in note for note in built.notes)
    assert any("3 clips without sound" in note for note in built.notes)


def test_ravdess_takes_clips_without_sound_where_there_is_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "corpus" / "Actor_02" / "02-01-05-01-01-01-02.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert build("ravdess", tmp_path).manifest.clip_id == ("02-01-05-01-01-01-02",)


def test_crema_d_takes_the_emotion_that_was_asked_for(tmp_path: Path) -> None:
    found = rows(build("crema-d", tmp_path).manifest, "subject_id", "split", "label")
    assert found["1001_DFA_HAP_XX"] == ("1001", "train", "happiness")
    assert found["1007_DFA_NEU_XX"] == ("1007", "validation", "neutral")
    assert found["1088_DFA_FEA_XX"] == ("1088", "test", "fear")
    assert found["1040_ITH_SAD_X"] == ("1040", "train", "sadness")


def test_crema_d_of_which_git_lfs_fetched_nothing_says_so(tmp_path: Path) -> None:
    path = tmp_path / "corpus" / "VideoFlash" / "1001_DFA_HAP_XX.flv"
    path.parent.mkdir(parents=True)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(DataError, match=r"1001_DFA_HAP_XX\.flv.*git lfs pull"):
        build("crema-d", tmp_path)


def test_savee_reads_letters_and_keeps_speakers_apart(tmp_path: Path) -> None:
    found = rows(build("savee", tmp_path).manifest, "split", "label")
    assert found["DC/sa1"] == ("train", "sadness")
    assert found["JK/su1"] == ("validation", "surprise")
    assert found["KL/n1"] == ("test", "neutral")


def test_enterface_reads_folders_also_of_subject_6(tmp_path: Path) -> None:
    found = rows(build("enterface", tmp_path).manifest, "subject_id", "split", "label")
    assert found["subject 06/anger/s6_an_1"] == ("06", "train", "anger")
    assert found["subject 07/happiness/s7_ha_2"] == ("07", "validation", "happiness")
    assert found["subject 18/surprise/s18_su_1"] == ("18", "test", "surprise")


def test_afew_keeps_the_official_parts(tmp_path: Path) -> None:
    built = build("afew", tmp_path)
    found = rows(built.manifest, "subject_id", "split", "label")
    assert found["train/Angry/000046280"] == ("", "train", "anger")
    assert found["validation/Sad/005150814"] == ("", "validation", "sadness")
    assert any("1 test clips left out" in note for note in built.notes)


def test_dfew_has_five_folds_that_test_every_clip_once(tmp_path: Path) -> None:
    tested = []
    for fold in range(1, 6):
        manifest = build("dfew", tmp_path, fold=fold).manifest
        tested += [manifest.clip_id[row] for row in manifest.rows_of("test")]
        assert rows(manifest, "label")["00004"] == ("anger",)
    assert sorted(tested) == [f"{number:05d}" for number in range(1, 11)]
    with pytest.raises(ConfigError, match="folds 1 to 5"):
        build("dfew", tmp_path, fold=6)


def test_dfew_without_its_videos_says_which_to_unpack(tmp_path: Path) -> None:
    build("dfew", tmp_path)
    videos = sorted((tmp_path / "corpus" / "Clip").rglob("*.mp4"))
    videos[0].unlink()
    built = build("dfew", tmp_path)
    assert len(built.manifest) == 9
    assert built.notes == ("Clips that are listed but not there, left out: 1 (00001.mp4).",)
    for path in videos[1:]:
        path.unlink()
    with pytest.raises(DataError, match="unpack Clip/original"):
        build("dfew", tmp_path)


def test_a_label_that_the_description_does_not_know_names_the_clip(tmp_path: Path) -> None:
    build("dfew", tmp_path)
    path = tmp_path / "corpus/EmoLabel_DataSplit/train(single-labeled)/set_1.csv"
    path.write_text(path.read_text() + "1,9\n")
    with pytest.raises(DataError, match=r"00001"):
        build("dfew", tmp_path)
    path.write_text("video_name,label\n2,8\n")
    with pytest.raises(DataError, match=r"00002\.mp4: unknown label '8' of DFEW; known: 1, 2"):
        build("dfew", tmp_path)
    path.write_text("video_name,label\n2,3\nx\n")
    with pytest.raises(DataError, match=r"set_1\.csv: line 3: expected a clip's number"):
        build("dfew", tmp_path)


def test_ferv39k_reads_the_official_lists(tmp_path: Path) -> None:
    found = rows(build("ferv39k", tmp_path).manifest, "split", "label")
    assert found["Action/Sad/0010"] == ("train", "sadness")
    assert found["Action/Happy/0011"] == ("test", "happiness")
    (tmp_path / "corpus/4_setups/All_scenes/test_All.csv").unlink()
    with pytest.raises(DataError, match=r"test_All\.csv is missing"):
        build("ferv39k", tmp_path)


def test_aff_wild2_turns_frames_into_stretches_by_the_videos_own_times(tmp_path: Path) -> None:
    built = build("aff-wild2", tmp_path)
    found = rows(built.manifest, "split", "label", "start_seconds", "end_seconds")
    assert found["1-30-160x128/000000-000001"] == ("train", "neutral", 0.0, pytest.approx(0.06))
    assert found["1-30-160x128/000002-000003"] == ("train", "happiness", pytest.approx(0.06), pytest.approx(0.22))
    assert found["1-30-160x128/000007-000009"][:3] == ("train", "surprise", pytest.approx(0.52))
    assert np.isnan(found["1-30-160x128/000007-000009"][3])  # to the end
    assert found["video5/000007-000008"] == ("validation", "neutral", pytest.approx(0.52), pytest.approx(0.6))
    notes = " ".join(built.notes)
    assert "two annotated people" in notes
    assert "10-60-1280x720" in notes
    assert "video5.mp4: 9 labels for 10 frames" in notes
    assert "not there, left out: 1 (gone)" in notes
    assert "1 x Other left out" in notes


def test_aff_wild2_brings_valence_and_arousal_at_the_videos_own_times(tmp_path: Path) -> None:
    manifest = build("aff-wild2", tmp_path).manifest
    tables = {manifest.path[row].stem: manifest.valence_arousal[row] for row in range(len(manifest))}
    assert tables["video5"] is None
    table = tables["1-30-160x128"]
    assert table is not None
    found = read_valence_arousal(table)
    assert found.pts_seconds == pytest.approx(np.array(AFF_WILD2_PTS_MS[1:]) / 1000, abs=1e-3)  # the first is -5
    assert found.at(np.array([0.08, 0.62])) == pytest.approx(np.array([[0.2, -0.1], [0.9, -0.45]]), abs=1e-5)
    write_manifest(manifest, tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv").valence_arousal == manifest.valence_arousal


def test_aff_wild2_leaves_out_a_video_that_cannot_be_read(tmp_path: Path) -> None:
    build("aff-wild2", tmp_path)
    (tmp_path / "corpus/batch1/video5.mp4").write_bytes(b"no video")
    built = build("aff-wild2", tmp_path)
    assert {path.name for path in built.manifest.path} == {"1-30-160x128.mp4"}
    assert any("Left out" in note and "video5.mp4" in note for note in built.notes)


def test_aff_wild2_names_a_damaged_line(tmp_path: Path) -> None:
    build("aff-wild2", tmp_path)
    path = tmp_path / "corpus/annotations/EXPR_Classification_Challenge/Train_Set/1-30-160x128.txt"
    path.write_text(path.read_text().replace("\n4\n4", "\n4\n8"))
    with pytest.raises(DataError, match=r"1-30-160x128\.txt: line 5: expected a label from -1 to 7, got '8'"):
        build("aff-wild2", tmp_path)


def test_ck_plus_writes_videos_that_hold_the_very_pictures(tmp_path: Path) -> None:
    from PIL import Image

    from vidfer.video.probe import frame_times_seconds, probe
    from vidfer.video.reader import open_reader

    built = build("ck+", tmp_path)
    found = rows(built.manifest, "subject_id", "split", "label", "start_seconds")
    assert found["S005_001/onset"] == ("S005", "train", "neutral", 0.0)
    assert found["S005_001/peak"] == ("S005", "train", "disgust", pytest.approx(2.5 / 30))
    assert found["S137_002/peak"][:3] == ("S137", "validation", "contempt")
    assert found["S999_001/peak"][:3] == ("S999", "test", "surprise")
    assert any("1 sequences left out" in note for note in built.notes)
    video = tmp_path / "clips" / "S005_001.mkv"
    probed = probe(video)
    np.testing.assert_allclose(frame_times_seconds(probed), np.arange(6) / 30, atol=0.002)
    batches = list(open_reader(probed).read(np.arange(6), batch_size=6))
    images = np.concatenate([batch.images for batch in batches])
    picture = np.asarray(Image.open(tmp_path / "corpus/cohn-kanade-images/S005/001/S005_001_00000006.png"))
    np.testing.assert_allclose(images[5][..., 0].astype(int), picture.astype(int), atol=1)
