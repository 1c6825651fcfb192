"""The command ``vidfer study`` on made results: files, determinism, exit codes."""

import hashlib
import re
from pathlib import Path

import pandas as pd
import pytest
from fixtures import commands, forked
from fixtures.study_results import paired_results, write_clip, write_study

from vidfer.cli import main
from vidfer.study.analysis import analyse
from vidfer.study.settings import load_study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Ten participants, happier by 0.2 in the film; a joke at 3 s of each clip; a poster that is excluded."""
    folder = tmp_path_factory.mktemp("study")
    paired_results(folder / "results")
    write_clip(folder / "results", "film/poster", 0.99)
    (folder / "events.csv").write_text("clip,onset,duration,type\n*,3,1,joke\n")
    study = write_study(
        folder,
        {
            "study": {"title": "A made study"},
            "clips": {"exclude": ["*poster*"]},
            "events": {"files": ["events.csv"]},
            "analysis": {"design": "paired", "emotions": ["happiness", "neutral"], "measures": ["mean_probability"]},
            "pictures": {"widths_mm": [85, 180], "formats": ["png", "svg", "pdf"]},
        },
    )
    ran = forked.vidfer(
        "study", "run", folder / "results", "--study", study, "--export", "bids", "--out", folder / "out"
    )
    assert ran.returncode == 0, ran.stderr
    assert "left out: clip film/poster: excluded in the study file" in ran.stderr
    assert "10 participants, 20 clips; conditions: control, film" in ran.stdout
    return folder, study


def test_tables_say_what_was_put_in(made: tuple[Path, Path]) -> None:
    out = made[0] / "out"
    comparisons = pd.read_csv(out / "comparisons.csv").set_index(["measure", "emotion"])
    row = comparisons.loc[("mean_probability", "happiness")]
    assert row["difference"] == pytest.approx(0.2, abs=0.05)
    assert row["p_corrected"] < 0.05
    meanings = pd.read_csv(out / "columns.csv")
    for table in ("participants", "clips", "events", "comparisons", "left_out"):
        written = pd.read_csv(out / f"{table}.csv")
        described = " ".join(meanings[meanings["table"] == table]["column"])
        assert all(re.search(rf"\b{name}\b", described) for name in written.columns if name not in ("start_seconds",
                   "end_seconds")), table  # fmt: skip
        assert written.shape == pd.read_parquet(out / f"{table}.parquet").shape
    aligned = pd.read_parquet(out / "aligned.parquet")
    assert len(aligned) == 20 * 200


def test_pictures_are_of_the_size_that_journals_ask_for(made: tuple[Path, Path]) -> None:
    from PIL import Image

    pictures = made[0] / "out" / "pictures"
    names = {path.name.rpartition("_")[0] for path in pictures.iterdir()}
    assert names == {"courses", "event_1", "participants", "share", "estimates_mean_probability"}
    for name in names:
        for width in (85, 180):
            with Image.open(pictures / f"{name}_{width}mm.png") as image:
                assert image.width == pytest.approx(width / 25.4 * 300, abs=1)
                assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)
            svg = (pictures / f"{name}_{width}mm.svg").read_text()
            assert float(re.search(r'<svg [^>]*width="([\d.]+)pt"', svg)[1]) == pytest.approx(
                width / 25.4 * 72, abs=1e-3
            )
            assert "happiness" in svg or name == "share"
            assert (pictures / f"{name}_{width}mm.pdf").read_bytes().startswith(b"%PDF")


def test_page_and_methods(made: tuple[Path, Path]) -> None:
    out = made[0] / "out"
    page = (out / "study.html").read_text()
    assert "A made study" in page
    of_film = re.findall(r"<td>film</td><td>(P\d\d)</td><td>film/\1 0:\d\d\.\d</td>", page)
    assert len(set(of_film)) == 3  # the strongest moments, each of another clip
    assert not re.search(r"(src|href)=.https?://", page)
    methods = " ".join((out / "methods.md").read_text().split())
    assert "20 clips of 10 participants (10 in control, 10 in film)" in methods
    assert "together 4,000 sampled frames" in methods
    assert "the face that is longest on screen (no people.csv)" in methods
    assert "clip film/poster: excluded in the study file" in methods
    assert "@article{phipson2010" in methods


def test_twice_the_same_bytes(made: tuple[Path, Path]) -> None:
    folder, study = made
    ran = commands.vidfer(
        "study", "run", folder / "results", "--study", study, "--export", "bids", "--out", folder / "again",
        env={"PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr

    def digests(out: Path) -> dict[str, str]:
        files = (path for path in sorted(out.rglob("*")) if path.is_file())
        return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    assert digests(folder / "out") == digests(folder / "again")


def _said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Return the exit code of a command in this process, and what it printed."""
    code = main([str(one) for one in arguments])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_power_says_how_many_are_needed(made: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    of_pilot = ("study", "power", made[0] / "results", "--study", made[1], "--effect", "0.8")
    code, said = _said(capsys, *of_pilot, "--emotion", "happiness")
    assert code == 0
    needed = int(re.search(r"(\d+) participants reach a power of 80%", said)[1])  # type: ignore[index]
    assert 12 <= needed <= 18  # noncentral t: 15
    assert "'joy' is none of neutral, happiness" in _said(capsys, *of_pilot, "--emotion", "joy")[1]


def test_init_proposes_what_then_runs(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    for condition in ("control", "film"):
        for person in range(1, 11):
            path = videos / condition / f"P{person:02d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\0" * 100)
    study = tmp_path / "study.toml"
    assert _said(capsys, "study", "init", videos, "--out", study)[0] == 0
    text = study.read_text()
    assert "# Found: 20 clips, 10 participants; conditions: control (10), film (10)." in text
    assert 'design = "paired"' in text
    code, said = _said(capsys, "study", "init", videos, "--out", study)
    assert code == 2
    assert "exists" in said
    found = analyse(made[0] / "results", load_study(study), folder=tmp_path)
    assert len(found.recordings) == 21  # and the poster
