"""The command line: mistakes end in one line that says what to do."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from vidfer.cli import build_parser, main
from vidfer.commands.arguments import COMMANDS, EXPORTS, STAGES
from vidfer.config import OutputConfig
from vidfer.exporters import EXPORTERS
from vidfer.pipeline import STAGES as DECLARED_STAGES


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that a wrong command line ends with."""
    try:
        code = main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    return capsys.readouterr().err.rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("proces videos", "vidfer: argument COMMAND: invalid choice: 'proces' (choose from"),
        ("process", "vidfer process: the following arguments are required: PATH, --out; see vidfer process --help"),
        (
            "process v --out o --exports csv",
            "vidfer process: unrecognized arguments: --exports csv; did you mean --exp",
        ),
        ("process v --out o --set a.b 3", "vidfer process: unrecognized arguments: 3; see vidfer process --help"),
        (
            "process --force v.mp4 --out o",
            "identity, tracks, people, track_vectors, emotions, movements) or nothing, got 'v.mp",
        ),
        ("process v --out o --fps ten", "argument --fps: invalid float value: 'ten'"),
        ("process v --out o --fps -1", "[video] fps: expected 0 or more, got -1"),
        ("process v --out o --device gpu", "[run] device: expected auto, cpu, cuda or cuda:N, got 'gpu'"),
        (
            "process v --out o --export timeline.csv",
            "unknown exporter 'timeline.csv'; timeline.csv is written by 'csv'. K",
        ),
        ("process v --out o --export csv,html", "'highlights', report.html is written by 'report'. Known: "),
        (
            "process v --out o --export ,",
            "--export: expected names, e.g. --export csv,segments; known: blinks, chart, ",
        ),
        (
            'process v --out o --set output.exports=["timeline.csv"]',
            "timeline.csv is written by 'csv'. Known: blinks, chart",
        ),
        ("process v --out o --no-plots --chart lines", "--no-plots: nothing is drawn: leave out --chart"),
        ("process v --out o --no-plots --export csv,chart", "--no-plots: nothing is drawn: leave out"),
        ("process v --out o --blur-faces", "--blur-faces: there is no video to blur faces in: add --export overlay"),
        (
            "evaluate --data d --model hmm",
            "--model hmm: a choice of vidfer evaluate temporal; single frames: --backbone",
        ),
        ("evaluate --manifest m --labels fer2013", "--labels fer2013: goes with --data; a manifest has the labels of"),
        ("evaluate temporal --manifest m --backbone vgg", "--backbone: for a sequence model, --set backbone.name=vgg"),
        ("evaluate --manifest m", "m: cannot be read: No such file or directory"),
        ("train emotion-cnn --data d --out o", "--recipe is missing: give a file, or one of vidfer's own: classical_"),
        (
            "manifest build x y",
            "vidfer manifest build: the following arguments are required: --out; see vidfer manifest",
        ),
    ],
)
def test_a_mistake_is_named_in_one_line(
    arguments: str, expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = said(capsys, *arguments.split())
    assert expected in line
    assert "\n" not in line
    assert not list(tmp_path.iterdir())  # nothing was begun


def test_a_sample_in_a_file_says_to_choose_another_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert said(capsys, "sample", str(tmp_path / "file")).endswith("is a file: choose another folder")


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys).startswith("usage: vidfer")


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run([sys.executable, "-m", "vidfer", "process"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("vidfer process: the following arguments are required: PATH, --out")


def test_help_names_what_there_is() -> None:
    assert set(EXPORTS) | {"overlay-blurred", "highlights-blurred"} == set(EXPORTERS.names())  # --blur-faces
    assert EXPORTS[: len(OutputConfig().exports)] == OutputConfig().exports
    assert [stage.name for stage in DECLARED_STAGES] == list(STAGES)


def test_every_option_has_a_help() -> None:
    commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    assert set(commands) == set(COMMANDS)
    parsers = list(commands.values())
    for parser in parsers:  # grows while it is read
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
            else:
                assert action.help, f"{parser.prog} {action.option_strings or action.dest}"


@pytest.mark.parametrize(
    "arguments",
    [("evaluate", "--json", "x"), ("train", "--jsn", "x"), ("manifest", "build", "--jsn", "x"), ("--jsn", "status")],
)
def test_an_unknown_option_is_named_before_its_value_is_taken_for_something(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert "unrecognized arguments: --js" in said(capsys, *arguments)


@pytest.mark.parametrize("arguments", [("train", "temporal", "--data", "x", "--out", "y"), ("evaluate", "--data", "x")])
def test_a_missing_extra_is_told_before_any_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert main(arguments) == 2
    assert "pip install 'vidfer[train]'" in capsys.readouterr().err
