"""Pipelines: strict, with errors that say where and what else there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidfer.config import load_pipeline, pipelines_folder
from vidfer.errors import ConfigError


def test_every_pipeline_that_comes_with_vidfer_loads() -> None:
    names = [path.stem for path in pipelines_folder().glob("*.toml")]
    assert {"default", "accurate", "fast"} <= set(names)
    for name in names:
        load_pipeline(name)


def test_settings_override_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[video]\nfps = 5\n[backbone]\nname = 'vgg'\n")
    config = load_pipeline(str(file), ["video.fps=12.5", "temporal.name=ema", "video.strict=true"])
    assert (config.video.fps, config.video.strict) == (12.5, True)
    assert (config.backbone.name, config.temporal.name) == ("vgg", "ema")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[faces]\nmin_scor = 0.5", r"\[faces\] min_scor: unknown key; did you mean 'min_score'\?"),
        ("[face]\nmin_score = 0.5", "face: unknown section; did you mean 'faces'"),
        ("[faces]\nmin_score = 2", r"\[faces\] min_score: expected 1 or less, got 2"),
        ("fps = 3", "fps: unknown key; known: backbone, "),
        ("[faces\n", "not valid TOML"),
        ("[video]\ndecoder = 'ffmpeg'", r"\[video\] decoder: expected 'auto', 'decord' or 'pyav', got 'ffmpeg'"),
    ],
)
def test_mistakes_are_named_with_file_and_key(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=expected) as error:
        load_pipeline(str(file))
    assert str(file) in str(error.value)


def test_unknown_pipeline_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown pipeline 'defualt'.*accurate, default, fast"):
        load_pipeline("defualt")


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("nonsense", ""),
        ("video=3", "; video is a section with the keys decoder, fps, rotation, stream, strict"),
        (".fps=3", ""),
        ("video.=3", ""),
        ("fps=3", r"; did you mean video\.fps\?"),
        (
            "weights=x.pt",
            r"; did you mean people\.weights or backbone\.weights or temporal\.weights or movements\.weights\?",
        ),
    ],
)
def test_a_malformed_setting_shows_the_form(setting: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"expected section\.key=value, .*min_score=0\.6{hint}$"):
        load_pipeline("default", [setting])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("faces.min_score=high", r"\[faces\] min_score: expected a number, got 'high'"),
        ("faces.max_faces=1.5", r"\[faces\] max_faces: expected a whole number, got 1\.5"),
        *(
            (
                f"emotions.baseline={value}",
                r"\[emotions\] baseline: expected 'auto', 'none', 'clip', or \[start, end\] in ",
            )
            for value in ("clips", "[2, 1]", "[-1, 3]", "[0]", "5", "[true, 2]", "[0, inf]")
        ),
        (
            "movements.baseline=auto",
            r"\[movements\] baseline: expected 'none', 'clip', or \[start, end\] .*, got 'auto'",
        ),
        ("video.fps=-1", r"\[video\] fps: expected 0 or more, got -1 \(frames sampled per second .*\)"),
        ("video.strict=maybe", r"\[video\] strict: expected true or false, got 'maybe'"),
        ("run.device=gpu", r"\[run\] device: expected auto, cpu, cuda or cuda:N, got 'gpu'"),
        ("output.exports=csv", r"\[output\] exports: expected a list, got 'csv' \(.*\[\"csv\", \"segments\"\]\)"),
        ("resources.frames=1", r"\[resources\] frames: expected a section of its own, with keys, got 1"),
    ],
)
def test_a_bad_value_is_not_blamed_on_the_file(setting: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"^{expected}"):
        load_pipeline("default", [setting])


def test_a_pipeline_of_ours_given_as_a_file_is_said_to_go_by_name() -> None:
    with pytest.raises(ConfigError, match=r"fast\.toml does not exist: .* by name: accurate, default, fast"):
        load_pipeline("fast.toml")
