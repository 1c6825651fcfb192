"""A stream of an hour, as fast as it goes: neither memory nor the cost of a frame grows."""

import resource
import time
from pathlib import Path

import numpy as np
import pytest
from fixtures.commands import vidfer

from vidfer.pipeline.pipeline import Pipeline
from vidfer.video.probe import probe
from vidfer.video.pyav_reader import PyAVReader

pytest.importorskip("onnxruntime", reason="the extra vidfer[onnx] is not installed")
pytest.importorskip("onnx", reason="the extra vidfer[onnx] is not installed")

FPS = 30
NUM_FRAMES = 3600 * FPS
TENTHS = 10


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


@pytest.mark.torture
@pytest.mark.parametrize("more", [[], ["people.link=true", "emotions.baseline=clip"]], ids=["plain", "people"])
def test_an_hour_takes_no_more_memory_or_time_at_its_end(sample_video, tmp_path, more):
    """Pictures are small; for one second in eight somebody new is there, 450 people in all."""
    assert vidfer("export", "onnx", "--out", tmp_path, "--quiet").returncode == 0
    (batch,) = PyAVReader(probe(sample_video)).read(np.arange(FPS), batch_size=FPS)
    shown = np.ascontiguousarray(batch.images[:, ::3, ::3])
    nobody = np.full_like(shown[0], 90)
    memory, cost, people = [], [], set()
    settings = [f"networks.folder={tmp_path}", "networks.runtime=onnx", *more]
    with Pipeline("live", settings=settings).stream() as stream:
        for tenth in range(TENTHS):
            used = time.process_time()
            for number in range(tenth * NUM_FRAMES // TENTHS, (tenth + 1) * NUM_FRAMES // TENTHS):
                second, frame = divmod(number, FPS)
                faces = stream.push(nobody if second % 8 else shown[frame], number / FPS)
                people |= {face.face_id for face in faces}
            cost.append(1000 * (time.process_time() - used) / (NUM_FRAMES // TENTHS))
            memory.append(resident_mb())
            print(f"{(tenth + 1) * NUM_FRAMES // TENTHS} frames: {memory[-1]:.1f} MB, {cost[-1]:.2f} ms", flush=True)
    assert stream.num_frames == NUM_FRAMES
    assert len(people) == NUM_FRAMES // FPS // 8
    assert memory[-1] - memory[0] < 3, memory
    assert np.median(cost[5:]) < 1.5 * np.median(cost[:5]), cost
