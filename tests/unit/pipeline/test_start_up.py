"""What a worker imports before its first frame: start-up is most of the time that a short clip takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fixtures.fuzz_trials import short_clip

CODE = """
import sys
import numpy as np, torch
from vidfer.config import load_pipeline
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.embeddings import EmbeddingsStage
from vidfer.pipeline.faces import FacesStage
from vidfer.types import FrameBatch
config = load_pipeline()
batch = FrameBatch(images=np.zeros((2, 64, 64, 3), np.uint8), frame_index=np.arange(2), pts_seconds=np.arange(2) / 25)
chunk = FrameChunk(batch, torch.device("cpu"))
table = FacesStage(config.faces, device="cpu").process(chunk)
EmbeddingsStage(config.backbone, device="cpu").process(chunk, {"faces": table})
slow = {"torch._dynamo", "torch._inductor", "sympy", "cv2", "matplotlib", "pandas", "pyarrow"}
print(sorted(slow & set(sys.modules)))
"""


def test_the_first_frames_import_no_compiler_charts_or_tables() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_a_whole_clip_of_one_face_imports_no_compiler_optimiser_or_pandas(sample_video: Path, tmp_path: Path) -> None:
    short_clip(sample_video, tmp_path / "a.mp4", num_frames=4)
    code = f"""
import sys
from pathlib import Path
from vidfer.config import load_pipeline
from vidfer.engine.clip import ClipJob, process_clip
config = load_pipeline("default", ['output.exports=["csv", "parquet", "segments", "summary"]'])
process_clip(ClipJob(clip_id="a", path=Path({str(tmp_path / "a.mp4")!r}), out=Path({str(tmp_path)!r}), config=config))
slow = {{"torch._dynamo", "torch._inductor", "sympy", "scipy.optimize", "matplotlib", "pandas"}}
print(sorted(slow & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
