"""How many times as fast vidfer's default is as face-alignment's, on the same frames, in one run; prints a table.

    python benchmarks/side_by_side.py --clips ../shared/clips

face-alignment runs as `FaceAlignment(LandmarksType.TWO_D)` does by default: SFD in every frame at its full size, then
2DFAN-4 on the face and on its mirror image. Its weights need a download, so that random ones of the right shape take
their place; they make SFD find nothing (which spares it the decoding of boxes), and 2DFAN-4 is handed the boxes that
vidfer found. vidfer's part is the whole stage that finds faces, places 68 landmarks, aligns, and measures pose and
quality. Both get the same threads; time is processor time, so that a busy machine does not count.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidfer.config import FacesConfig
from vidfer.pipeline.chunk import CHUNK_FRAMES, FrameChunk
from vidfer.pipeline.faces import FacesStage
from vidfer.types import FrameBatch
from vidfer.video.probe import probe
from vidfer.video.reader import open_reader

CPU = torch.device("cpu")


def random_face_alignment(*, compile: bool) -> Any:
    """Return face-alignment's default for two dimensions, with weights drawn at random."""
    import face_alignment
    from face_alignment.api import models_urls
    from face_alignment.detection.sfd import sfd_detector
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models.fan import FAN

    torch.manual_seed(0)
    detector = s3fd()
    with torch.no_grad():
        for name, layer in detector.named_modules():
            if name.endswith("mbox_conf"):  # the last channel is the face's
                layer.weight.zero_()
                layer.bias.copy_(torch.tensor([*[5.0] * (len(layer.bias) - 1), -5.0]))
    with tempfile.TemporaryDirectory() as hub:
        checkpoints = Path(hub) / "checkpoints"
        checkpoints.mkdir()
        torch.save(detector.state_dict(), checkpoints / Path(sfd_detector.models_urls["s3fd"]).name)
        torch.save(FAN(4).state_dict(), checkpoints / Path(models_urls["2DFAN-4"]).name)
        before = torch.hub.get_dir()
        torch.hub.set_dir(hub)
        try:
            return face_alignment.FaceAlignment(face_alignment.LandmarksType.TWO_D, device="cpu", compile=compile)
        finally:
            torch.hub.set_dir(before)


def first_chunk(clip: Path) -> FrameBatch:
    """Return the first frames of a clip as the engine hands them to the stages."""
    video = probe(clip)
    rows = np.arange(min(CHUNK_FRAMES, video.num_frames))
    return next(iter(open_reader(video).read(rows, batch_size=CHUNK_FRAMES)))


def time_vidfer(stage: FacesStage, batch: FrameBatch, *, rounds: int = 3) -> tuple[float, list[np.ndarray]]:
    """Return seconds per frame, the best of some rounds, and the boxes (n, 4) of each frame."""
    best = np.inf
    for _ in range(rounds):
        started = time.process_time()
        table = stage.process(FrameChunk(batch, CPU))
        best = min(best, time.process_time() - started)
    boxes = np.split(table.xyxy, np.cumsum(table.num_faces, dtype=np.int64)[:-1])
    return best / len(batch), boxes


def time_face_alignment(aligner: Any, frames: np.ndarray, boxes: list[np.ndarray]) -> tuple[float, float]:
    """Return seconds per frame of SFD and of 2DFAN-4, the means over frames (B, H, W, 3)."""
    detecting = placing = 0.0
    for frame, faces in zip(frames, boxes, strict=True):
        started = time.process_time()
        found = aligner.face_detector.detect_from_image(frame.copy())
        detecting += time.process_time() - started
        assert not len(found), f"random weights were to find nothing, got {len(found)} faces"
        started = time.process_time()
        if len(faces):
            placed = aligner.get_landmarks_from_image(frame, detected_faces=[[*box.tolist(), 1.0] for box in faces])
            assert len(placed) == len(faces)
        placing += time.process_time() - started
    return detecting / len(frames), placing / len(frames)


def report_side_by_side(clips: Path, *, frames: int, compile: bool) -> None:
    """Print the times per frame for each clip, and how they compare."""
    aligner = random_face_alignment(compile=compile)
    following = FacesStage(FacesConfig(), device="cpu")
    searching = FacesStage(FacesConfig(detect_every=1), device="cpu")
    print("milliseconds per frame, processor time of one thread" + (", 2DFAN-4 compiled" if compile else ""))
    heads = ("frame", "faces", "SFD", "2DFAN-4", "vidfer", "times", "in each", "times")
    print(f"{'clip':<8}" + "".join(f"{head:>10}" for head in heads))
    sums = np.zeros(4)
    for clip in sorted(clips.glob("*.mp4")):
        batch = first_chunk(clip)
        time_face_alignment(aligner, batch.images[:1], [np.array([[100.0, 100.0, 250.0, 250.0]])])  # warm up
        mine, boxes = time_vidfer(following, batch)
        each, _ = time_vidfer(searching, batch)
        sfd, fan = time_face_alignment(aligner, batch.images[:frames], boxes[:frames])
        figures = np.array([sfd, fan, mine, each]) * 1000
        height, width = batch.images.shape[1:3]
        _print_row(clip.stem, f"{width}x{height}", sum(map(len, boxes)) / len(boxes), figures)
        sums += figures
    _print_row("all", "", float("nan"), sums / max(1, len(list(clips.glob("*.mp4")))))


def _print_row(name: str, frame: str, faces: float, figures: np.ndarray) -> None:
    sfd, fan, mine, each = figures
    print(
        f"{name:<8}{frame:>10}{faces:>10.1f}{sfd:>10.0f}{fan:>10.0f}{mine:>10.2f}{(sfd + fan) / mine:>9.0f}x"
        f"{each:>10.2f}{(sfd + fan) / each:>9.0f}x",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips (*.mp4)")
    parser.add_argument("--frames", type=int, default=2, help="of each clip for face-alignment")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="let face-alignment compile 2DFAN-4 first, as it tries")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report_side_by_side(arguments.clips, frames=arguments.frames, compile=arguments.compile)


if __name__ == "__main__":
    main()
