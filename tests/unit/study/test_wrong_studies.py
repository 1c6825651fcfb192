"""What people get wrong in their tables is found and named with row and column."""

from pathlib import Path

import pytest
from fixtures.study_results import write_clip, write_study

from vidfer.errors import ConfigError, DataError
from vidfer.study.analysis import Study, analyse
from vidfer.study.settings import load_study


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for clip in ("control/P1", "control/P2", "film/P1", "film/P3", "extra"):
        write_clip(folder, clip, 0.4, seconds=20)
    return folder


def _analyse(results: Path, sections: dict[str, dict[str, object]]) -> Study:
    study = write_study(results.parent, sections)
    return analyse(results, load_study(study), folder=study.parent)


def _events(results: Path, text: str, name: str = "events.csv", **keys: object) -> Study:
    (results.parent / name).write_text(text)
    return _analyse(results, {"events": {"files": [name], **keys}})


def test_an_unknown_key_names_the_nearest(results: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[analysis\] permutation: unknown key; did you mean 'permutations'"):
        _analyse(results, {"analysis": {"permutation": 5}})


def test_an_event_outside_its_clip_is_left_out_with_its_row_and_the_run_goes_on(results: Path) -> None:
    found = _events(results, "clip,onset,duration,type\nfilm/P1,3,1,joke\nfilm/P1,25,1,joke\n")
    (left,) = [one for one in found.left if one.what == "event"]
    assert "events.csv: row 2 (line 3), column onset: 25 s lies outside film/P1 (0 to 20 s" in left.reason
    assert set(found.tables["events"]["onset_seconds"]) == {3.0}


def test_one_table_for_all_clips(results: Path) -> None:
    found = _events(results, "onset,type\n3,joke\n50,joke\n")
    assert len(found.tables["events"]) == 4 * 8
    (left,) = [one for one in found.left if one.what == "event"]
    assert "lies outside control/P1" in left.reason
    assert "and 3 of 3 other clips" in left.reason


def test_milliseconds_are_recognised(results: Path) -> None:
    text = "clip,onset\nfilm/P1,3000\nfilm/P1,12500\n"
    with pytest.raises(DataError, match=r"row 1 \(line 2\), column onset: 3000 s is after the end.*milliseconds"):
        _events(results, text)
    found = _events(results, text, unit="milliseconds")
    assert set(found.tables["events"]["onset_seconds"]) == {3.0, 12.5}


@pytest.mark.parametrize("sign", [";", "\t"])
def test_a_decimal_comma_is_named(results: Path, sign: str) -> None:
    text = f"clip{sign}onset\nfilm/P1{sign}2\nfilm/P1{sign}3,5\n"
    with pytest.raises(DataError, match=r"row 2 \(line 3\), column onset: '3,5' has a decimal comma: write 3\.5"):
        _events(results, text)


def test_a_decimal_comma_between_commas_is_suspected(results: Path) -> None:
    with pytest.raises(DataError, match=r"row 1 \(line 2\): expected 2 cells .* got 3 \(a decimal comma"):
        _events(results, "clip,onset\nfilm/P1,3,5\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no rows: expected a header with onset"),
        ("clip,onset\n\n", "no rows: expected a header with onset"),
        ("clip,onset,onset\nfilm/P1,3,4\n", "two columns are called 'onset'"),
        ("clip,onset,duration\nfilm/P1,3,-1\n", r"row 1 \(line 2\), column duration: expected 0 or more, got -1"),
        ("clip,onset\nfilm/P1,0:03.5\n", r"row 1 \(line 2\), column onset: '0:03.5' is a time of day: write 3.5"),
        ("clip,onset\nfilm/P1,1:00:02\n", "'1:00:02' is a time of day: write 3602"),
        ("clip,onset\nfilm/P1,inf\n", "column onset: expected a number, got 'inf'"),
        ("clip,onset\nfilm/P1,3 s\n", "column onset: expected a number, got '3 s'"),
        ("clip,onset\nfilm/P1,\n", "column onset: empty"),
        ("clip,onset,duration\nfilm/P1,3,500\nfilm/P1,5,900\n", "row 1 .* column duration: 500 s is longer than"),
        ("clip,onset\nfilm/P11,2\n", "there are no results of 'film/P11'; did you mean 'film/P1'"),
    ],
)
def test_what_else_can_be_wrong_with_events(results: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        _events(results, text)


@pytest.mark.parametrize(
    "data",
    [
        "clip;onset;type\r\nfilm/P1;3;joke\r\n".encode("utf-8-sig"),
        b"sep=;\r\nclip;onset;type\r\nfilm/P1;3;joke\r\n",
        "clip\tonset\ttype\nfilm/P1\t3\tjoke\n".encode("utf-16"),
        b'"clip","onset","type"\n"film/P1","3","joke"\n',
    ],
)
def test_what_excel_saves_is_read(results: Path, data: bytes) -> None:
    (results.parent / "events.csv").write_bytes(data)
    found = _analyse(results, {"events": {"files": ["events.csv"]}})
    assert found.tables["events"][["clip", "onset_seconds", "type"]].iloc[0].tolist() == ["film/P1", 3.0, "joke"]


def test_an_event_that_is_listed_twice_counts_once(results: Path) -> None:
    found = _events(results, "clip,onset,type\nfilm/P1,3,joke\nfilm/P1,3.0,joke\n*,3,joke\n*,3,pause\n")
    assert len(found.tables["events"]) == 8 * 8  # four clips, joke and pause
    reasons = [one.reason for one in found.left if one.what == "event"]
    assert len(reasons) == 2
    assert "row 2 (line 3), column onset: 3 s is there already (row 1 (line 2), column onset)" in reasons[0]


def test_a_clip_twice_in_a_table_and_a_video_under_two_names(results: Path) -> None:
    (results.parent / "clips.csv").write_text("clip,participant,condition\nextra,P9,rest\nextra,P8,film\n")
    with pytest.raises(DataError, match=r"row 2 \(line 3\), column clip: extra is there twice \(row 1 \(line 2\)\)"):
        _analyse(results, {"clips": {"table": "clips.csv"}})
    for name in ("control/P7", "film/P7"):
        write_clip(results, name, 0.4, seconds=20, fingerprint="cd" * 32)
    notes = _analyse(results, {"analysis": {"design": "paired"}}).notes
    assert "control/P7, film/P7 are the same video: it counts once" in notes


def test_who_lacks_a_condition_of_a_paired_design_is_named(results: Path) -> None:
    found = _analyse(results, {"analysis": {"design": "paired"}})
    reasons = {one.name: one.reason for one in found.left if one.what == "participant"}
    assert reasons["P3"] == "not in control: no part of paired comparisons with it"
    assert found.tables["comparisons"]["refused"].str.contains("too few participants: 1,").all()


def test_words_where_numbers_belong_and_clips_that_are_not_there(results: Path) -> None:
    with pytest.raises(DataError, match=r"row 1 .*column onset: expected a number, got 'soon'"):
        _events(results, "onset\nsoon\n")
    with pytest.raises(DataError, match=r"row 1 .*column clip: there are no results of 'film/P9'"):
        _events(results, "clip,onset\nfilm/P9,2\n")


def test_a_misspelt_column_names_the_nearest(results: Path) -> None:
    with pytest.raises(DataError, match="missing column 'onset'; is it 'onsets'"):
        _events(results, "clip,onsets\nfilm/P1,2\n")


def test_a_participant_in_both_arms_of_an_unpaired_design(results: Path) -> None:
    with pytest.raises(DataError, match=r"P1 is in control \(control/P1\) and film \(film/P1\).*unpaired design"):
        _analyse(results, {"analysis": {"design": "unpaired"}})


def test_conditions_that_overlap(results: Path) -> None:
    (results.parent / "clips.csv").write_text(
        "clip,participant,condition,start_seconds,end_seconds\n"
        "extra,P9,rest,0,10\nextra,P9,film,8,20\n"
    )  # fmt: skip
    with pytest.raises(DataError, match=r"row 2 \(line 3\), column start_seconds: film begins at 8 s of extra, before"):
        _analyse(results, {"clips": {"table": "clips.csv"}})


def test_clips_and_participants_without_each_other_are_named(results: Path) -> None:
    (results.parent / "people.csv").write_text("participant,age\nP1,20\nP2,30\nP4,40\n")
    found = _analyse(results, {"clips": {"participants": "people.csv", "covariates": ["age"]}})
    reasons = {(one.what, one.name): one.reason for one in found.left}
    assert "no participant: the pattern does not fit" in reasons["clip", "extra"]
    assert "P3 is not in people.csv" in reasons["clip", "film/P3"]
    assert "row 3 (line 4): no clip shows this participant" in reasons["participant", "P4"]
    assert set(found.tables["participants"]["age"]) == {"20", "30"}


def test_one_video_as_several_participants_gets_no_p_value(results: Path) -> None:
    for person in range(6):
        for condition in ("control", "film"):
            write_clip(results, f"{condition}/Q{person}", 0.3 + 0.1 * person, fingerprint="ab" * 32)
    found = _analyse(results, {"analysis": {"design": "paired"}})
    assert found.tables["comparisons"]["p"].isna().all()
    assert found.tables["comparisons"]["refused"].str.contains("are the same video").all()
    (results.parent / "clips.csv").write_text(
        "clip,participant,start_seconds,end_seconds\nextra,P8,0,10\nextra,P9,10,20\n"
    )
    (note,) = _analyse(results, {"clips": {"table": "clips.csv"}}).notes
    assert "the same video counts for 2 participants (P8, P9): they are not independent" in note


def test_a_clip_without_its_tables_costs_only_itself(results: Path) -> None:
    (results / "control" / "P2" / "timeline.parquet").write_bytes(b"PAR1 no")
    (results / "film" / "P3" / "segments.csv").unlink()
    found = _analyse(results, {})
    assert {one.name for one in found.left} == {"extra", "film/P3", "P3", "control/P2", "P2"}
    assert any("vidfer report RESULTS --export segments" in one.reason for one in found.left)
