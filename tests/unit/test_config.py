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
        ("[faces]\nmin_score = 2", r"\[faces\] min_score: .*less than or equal to 1.*got 2"),
        ("[faces\n", "not valid TOML"),
        ("[video]\ndecoder = 'ffmpeg'", r"\[video\] decoder: .*'auto', 'decord' or 'pyav'.*got 'ffmpeg'"),
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


@pytest.mark.parametrize("setting", ["nonsense", "video=3", ".fps=3", "video.=3"])
def test_a_malformed_setting_shows_the_form(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        load_pipeline("default", [setting])
