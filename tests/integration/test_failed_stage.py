"""failures.csv names the stage that failed, whether it raised or its process died."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.commands import read_csv, vidfer
from fixtures.fuzz_trials import short_clip

from vidfer.engine.status import read_status

# Runs first in every Python process: breaks one function, in workers, when it is imported.
SITECUSTOMIZE = """
import importlib.abc, importlib.machinery, os, sys

MODULE, NAME, HOW = os.environ["BREAK"].split(",")

def broken(*arguments, **keywords):
    if HOW == "die":
        os._exit(7)
    raise ValueError("broken for the test")

class Breaker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            owner, _, attribute = NAME.rpartition(".")
            setattr(getattr(module, owner) if owner else module, attribute, broken)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Breaker())
"""


@pytest.mark.parametrize(
    ("function", "how", "stage", "state"),
    [
        ("vidfer.video.probe,probe", "raise", "decode", "faces"),
        ("vidfer.pipeline.faces,FacesStage.process", "raise", "faces", "faces"),
        ("vidfer.pipeline.embeddings,EmbeddingsStage.process", "raise", "embeddings", "embeddings"),
        ("vidfer.pipeline.tracks,TracksStage.process", "raise", "tracks", "tracks"),
        ("vidfer.exporters.rows,join_lines", "raise", "outputs", "outputs"),
        ("vidfer.exporters.rows,join_lines", "die", "outputs", "outputs"),
        ("vidfer.video.probe,probe", "die", "decode", "faces"),
    ],
)
def test_the_stage_that_failed_is_named(
    sample_video: Path, tmp_path: Path, function: str, how: str, stage: str, state: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    short_clip(sample_video, tmp_path / "a.mp4", num_frames=6)
    env = {"PYTHONPATH": f"{tmp_path / 'site'}:{Path(__file__).parents[2]}", "BREAK": f"{function},{how}"}
    settings = ["--export", "csv", "--set", "run.retries=0"]
    done = vidfer("process", tmp_path / "a.mp4", "--out", tmp_path / "out", *settings, env=env)
    assert done.returncode == 1, done.stderr
    (failure,) = read_csv(tmp_path / "out" / "failures.csv")
    assert failure["stage"] == stage, failure
    (clip,) = read_status(tmp_path / "out")
    assert clip.stages[state] == "failed"
