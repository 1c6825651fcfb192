"""Timelines together with scores of others: what comes out, and what is wrong in tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.study_results import write_clip, write_study

from vidfer import study
from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX, EMOTIONS, NUM_EMOTIONS
from vidfer.study.fusion import pooled

FACE = np.array([0.4, 0.3, 0.05, 0.05, 0.1, 0.04, 0.04, 0.02])


def scores(**of: float) -> np.ndarray:
    values = np.full(NUM_EMOTIONS, np.nan)
    for name, value in of.items():
        values[EMOTION_INDEX[name]] = value
    return values


def test_both_pools_by_hand() -> None:
    other = np.full(NUM_EMOTIONS, 0.05)
    other[1] = 0.65
    log = FACE**0.7 * other**0.3
    np.testing.assert_allclose(pooled(FACE[None], other[None], weight=0.3)[0], log / log.sum())
    np.testing.assert_allclose(pooled(FACE[None], other[None], weight=0.3, pool="mean")[0], 0.7 * FACE + 0.3 * other)
    for pool in ("log", "mean"):
        np.testing.assert_allclose(pooled(FACE[None], other[None], weight=0.0, pool=pool)[0], FACE)  # type: ignore[arg-type]
        np.testing.assert_allclose(pooled(FACE[None], other[None], weight=1.0, pool=pool)[0], other)  # type: ignore[arg-type]


def test_labels_that_others_do_not_know_keep_the_probability_of_the_face() -> None:
    other = scores(happiness=0.9, anger=0.1)
    (found,) = pooled(FACE[None], other[None], weight=0.5)
    unknown = np.isnan(other)
    np.testing.assert_allclose(found[unknown], FACE[unknown])
    assert found.sum() == pytest.approx(1)
    assert found[1] / found[4] == pytest.approx(np.sqrt(0.3 / 0.1 * 0.9 / 0.1))


def test_where_one_says_nothing_the_other_stands_alone() -> None:
    nothing = np.full(NUM_EMOTIONS, np.nan)
    other = scores(happiness=0.9, anger=0.1)
    found = pooled(np.stack([FACE, nothing, nothing]), np.stack([nothing, other, nothing]), weight=0.9)
    np.testing.assert_array_equal(found, np.stack([FACE, other, nothing]))


def test_a_score_of_nought_is_no_veto() -> None:
    (found,) = pooled(FACE[None], np.eye(NUM_EMOTIONS)[[1]], weight=0.3)
    assert 0 < found[0] < 0.1
    assert found.argmax() == 1


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    write_clip(folder, "film/P1", 0.4, seconds=20, gaps=[(0, 12.0, 14.0)], exports=("csv", "summary"))
    write_clip(folder, "film/P2", 0.8, seconds=20, exports=("csv", "summary"))
    return folder


def fuse(results: Path, text: str, **options: object) -> dict[str, pd.DataFrame]:
    (results.parent / "voice.csv").write_text(text)
    study.fuse(results, results.parent / "voice.csv", results.parent / "fused", **options)  # type: ignore[arg-type]
    out = results.parent / "fused"
    return {path.parent.name: pd.read_csv(path) for path in sorted(out.glob("*/*/timeline.csv"))}


def test_scores_of_a_time_meet_the_rows_of_that_time(results: Path) -> None:
    table = fuse(
        results,
        "clip,start,end,neutral,Happy,sad\nfilm/P1.mp4,0,5,0.1,0.8,0.1\nfilm/P1,11,15,0.7,0.2,0.1\n",
        weight=0.4,
    )["P1"]
    said = json.loads((results.parent / "fused" / "fusion.json").read_text())
    assert said["clips"] == ["film/P1"]
    assert "voice.csv has no surprise, anger, disgust, fear, contempt" in said["notes"][0]
    saved = pd.read_csv(results / "film" / "P1" / "timeline.csv")
    second = table["timestamp"]
    assert set(table.loc[second < 5, "sources"]) == {"face+other"}
    assert set(table.loc[(second >= 5) & (second < 11), "sources"]) == {"face"}
    alone = table[(second >= 12) & (second < 14)]
    assert set(alone["sources"]) == {"other"}
    assert set(alone["success"]) == {0}  # the face is still not seen
    np.testing.assert_allclose(alone[["neutral", "happiness", "sadness"]], [[0.7, 0.2, 0.1]] * len(alone))
    expected = np.array([0.6**0.6 * 0.1**0.4, 0.4**0.6 * 0.8**0.4, 1e-4**0.6 * 0.1**0.4])
    first = table[["neutral", "happiness", "sadness"]].iloc[0]
    np.testing.assert_allclose(first, expected / expected.sum(), rtol=1e-3)
    assert table["emotion"].iloc[0] == "happiness"
    assert saved["emotion"].iloc[0] == "neutral"
    np.testing.assert_allclose(alone["entropy"], -sum(p * np.log2(p) for p in (0.7, 0.2, 0.1)), rtol=1e-6)
    unchanged = (second >= 5) & (second < 11)
    pd.testing.assert_frame_equal(table.loc[unchanged, saved.columns], saved[unchanged.to_numpy()])


def test_episodes_and_numbers_follow_from_the_fused_timeline(results: Path) -> None:
    """The face is neutral throughout; a voice that is sure for 5 s makes an episode of it."""
    fuse(results, "clip,start,end,neutral,happiness\nfilm/P1,5,10,0.02,0.98\nfilm/P1,12,14,0.02,0.98\n")
    folder = results.parent / "fused" / "film" / "P1"
    episodes = pd.read_csv(folder / "segments.csv")
    assert episodes["emotion"].tolist() == ["neutral", "happiness", "neutral", "neutral"]  # no face from 12 to 14 s
    times = episodes[["start_seconds", "end_seconds"]].to_numpy()
    np.testing.assert_allclose(times, [[0, 5], [5, 10], [10, 12], [14, 20]], atol=0.11)
    summary, before = (json.loads((of / "summary.json").read_text()) for of in (folder, results / "film" / "P1"))
    assert before["emotions"]["happiness"]["share_of_time"] == 0
    assert summary["emotions"]["happiness"]["share_of_time"] == pytest.approx(5 / 18, abs=0.01)
    assert summary["provenance"]["fusion"] == {"scores": "voice.csv", "weight": 0.5, "pool": "log"}
    kept = ("clip", "fingerprint", "sampled_frames", "frames_with_face", "duration_seconds")
    assert {name: summary[name] for name in kept} == {name: before[name] for name in kept}


def test_a_study_reads_a_fused_folder(tmp_path: Path) -> None:
    """Faces tell nothing; the voice is happier in one of two conditions."""
    results, fused = tmp_path / "results", tmp_path / "fused"
    rows = ["clip,start,end,neutral,happiness"]
    for person in range(6):
        for condition, voice in (("control", 0.1), ("film", 0.9)):
            name = f"{condition}/P{person}"
            write_clip(results, name, 0.3, seconds=4)
            rows.append(f"{name},0,4,{1 - voice:.3f},{voice:.3f}")
    (tmp_path / "voice.csv").write_text("\n".join(rows))
    (results / "people.csv").write_text("clip,person,face_ids,name,include\nfilm/P5,0,0,,no\n")
    study.fuse(results, tmp_path / "voice.csv", fused)
    found = study.run(fused, write_study(tmp_path, {"analysis": {"emotions": ["happiness"]}}))
    table = found.tables["participants"]
    happy = table[table["emotion"] == "happiness"].set_index(["condition", "participant"])["mean_probability"]
    pool = (0.3 * 0.9) ** 0.5, (0.7 * 0.1) ** 0.5
    np.testing.assert_allclose(happy["film"], pool[0] / sum(pool), atol=1e-3)
    assert happy["control"].max() < 0.3
    assert len(happy["film"]) == 5  # people.csv came along
    assert "joined with the scores of voice.csv: weighted means of log-probabilities" in " ".join(
        (fused / "study" / "methods.md").read_text().split()
    )


def test_windows_that_overlap_are_averaged_and_moments_stand_for_the_time_around_them(results: Path) -> None:
    head = "clip,start,end,happiness,neutral\n"
    table = fuse(results, head + "film/P1,0,4,1,0\nfilm/P1,2,6,0,1\n", weight=1.0, pool="mean")["P1"]
    second = table["timestamp"]
    assert table.loc[second < 2, "happiness"].mean() == pytest.approx(1)
    assert table.loc[(second >= 2) & (second < 4), "happiness"].mean() == pytest.approx(0.5)
    head = "clip,timestamp,happiness,neutral\n"
    table = fuse(results, head + "film/P1,1,1,0\nfilm/P1,2,0,1\n", weight=1.0, pool="mean")["P1"]
    assert set(table.loc[(second >= 0.5) & (second < 2.5), "sources"]) == {"face+other"}
    assert set(table.loc[second >= 2.5, "sources"]) - {"none"} == {"face"}
    assert table.loc[(second >= 1.5) & (second < 2.5), "neutral"].mean() == pytest.approx(1)


def test_scores_of_one_face_change_that_face_alone(tmp_path: Path) -> None:
    write_clip(tmp_path / "results", "both", 0.4, seconds=10, faces=2, exports=("csv", "summary"))
    text = "clip,face,start,end,happiness,neutral\nboth,1,0,10,0.9,0.1\n"
    (tmp_path / "voice.csv").write_text(text)
    study.fuse(tmp_path / "results", tmp_path / "voice.csv", tmp_path / "fused")
    table = pd.read_csv(tmp_path / "fused" / "both" / "timeline.csv")
    assert set(table.loc[table["face_id"] == 0, "sources"]) == {"face"}
    assert set(table.loc[table["face_id"] == 1, "sources"]) == {"face+other"}
    (tmp_path / "voice.csv").write_text(text.replace("both,1", "both,7"))
    with pytest.raises(DataError, match=r"both: nobody in it is called '7'; there are 0, 1: .*column face"):
        study.fuse(tmp_path / "results", tmp_path / "voice.csv", tmp_path / "fused")
    (tmp_path / "voice.csv").write_text("start,end,happiness,neutral\n0,10,0.9,0.1\n")
    said = study.fuse(tmp_path / "results", tmp_path / "voice.csv", tmp_path / "fused")
    assert any("shows 2 faces and the scores name no person" in note for note in said["notes"])


def test_the_weight_that_is_learnt_trusts_who_is_right(tmp_path: Path) -> None:
    """Faces are right in 6 of 10 clips, scores in 9; whichever is wrong is as sure as when it is right."""
    rng = np.random.default_rng(3)
    rows, labels = ["clip,start,end,happiness,neutral"], ["clip_id,path,split,label"]
    for i in range(20):
        happy, face_right, voice_right = i % 2 == 0, i % 10 < 6, i != 3 and i != 14
        write_clip(
            tmp_path / "results", f"c{i}", 0.8 if happy == face_right else 0.2, seconds=2, exports=("csv", "summary")
        )
        p = (0.8 if happy == voice_right else 0.2) + float(rng.uniform(-0.05, 0.05))
        rows.append(f"c{i},0,2,{p:.4f},{1 - p:.4f}")
        labels.append(f"c{i},videos/c{i}.mp4,train,{'happiness' if happy else 'neutral'}")
    (tmp_path / "voice.csv").write_text("\n".join(rows))
    (tmp_path / "labels.csv").write_text("\n".join(labels))
    said = study.fuse(tmp_path / "results", tmp_path / "voice.csv", tmp_path / "out", learn=tmp_path / "labels.csv")
    losses = dict(zip(said["learnt"]["weights"], said["learnt"]["log_loss"], strict=True))
    assert said["learnt"]["stretches"] == 20
    assert 0.5 < said["weight"] <= 1
    assert losses[said["weight"]] == min(losses.values())
    assert said["learnt"]["accuracy"][0] == pytest.approx(0.6)
    assert said["learnt"]["accuracy"][-1] == pytest.approx(0.9)
    (tmp_path / "labels.csv").write_text("clip_id,path,split,label\nother,other.mp4,train,anger\n")
    with pytest.raises(DataError, match="no labelled stretch has both a face and scores"):
        study.fuse(tmp_path / "results", tmp_path / "voice.csv", tmp_path / "out", learn=tmp_path / "labels.csv")


HEAD = "clip,start,end,happiness,neutral\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "film/P1,0,1000,1,0\nfilm/P1,3000,4000,1,0\nfilm/P1,9000,9500,1,0\n", r"row 3 \(line 4\), column end.*"
         "milliseconds: divide them by 1000"),
        ("clip;start;end;happiness;neutral\nfilm/P1;0;1;0,5;0,5\n", r"row 1 \(line 2\), column happiness: '0,5' has a "
         "decimal comma: write 0.5"),
        (HEAD + "film/P1,0,1,1,0\nfilm/P9,0,1,1,0\n", r"row 2 \(line 3\), column clip: there are no results of "
         "'film/P9'; did you mean 'film/P"),
        (HEAD + "film/P1,0,1,0.9,0.9\n", r"row 1 \(line 2\), columns happiness, neutral: expected scores that sum to "
         "1, got 1.8: divide each row"),
        (HEAD + "film/P1,0,1,90,10\n", "got 100: divide by 100"),
        ("clip,start,end,happiness,neutral,bored\nfilm/P1,0,1,0.4,0.4,0.2\n", "not counted, .*: bored"),
        (HEAD + "film/P1,0,1,-0.5,1.5\n", r"column happiness: expected a probability, got '-0.5'"),
        (HEAD + "film/P1,0,1,,1\n", r"column happiness: expected a probability, got ''"),
        (HEAD + "film/P1,2,1,1,0\n", r"column end: expected more than the start \(2 s\), got 1"),
        (HEAD + "film/P1,0:01,0:02,1,0\n", r"column start: '0:01' is a time of day: write 1 \(seconds\)"),
        ("clip,start,end,hapiness,neutral\nfilm/P1,0,1,1,0\n", "unknown column 'hapiness'; did you mean 'happiness'"),
        ("clip,start,end,valence\nfilm/P1,0,1,1\n", "expected a column for each emotion"),
        ("clip,time,happiness,neutral\nfilm/P1,0,1,0\n", "expected the columns start and end, or timestamp"),
        ("", "no rows"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_row_and_column(results: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fuse(results, text)
    assert not (results.parent / "fused").exists()


def test_results_are_never_written_over(results: Path) -> None:
    (results.parent / "voice.csv").write_text(HEAD + "film/P1,0,1,1,0\n")
    with pytest.raises(DataError, match="choose another --out"):
        study.fuse(results, results.parent / "voice.csv", results)
    with pytest.raises(DataError, match="expected 0 to 1, got 30"):
        study.fuse(results, results.parent / "voice.csv", results.parent / "fused", weight=30)


def test_every_row_still_sums_to_one(results: Path) -> None:
    for table in fuse(results, HEAD + "film/P1,0,9,0.3,0.7\nfilm/P2,3,20,0.6,0.4\n").values():
        said = table["sources"] != "none"
        np.testing.assert_allclose(table.loc[said, list(EMOTIONS)].sum(axis=1), 1, atol=1e-5)
