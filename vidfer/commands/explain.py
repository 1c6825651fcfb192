"""``vidfer explain``: what the per-frame network saw in one frame, as a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from vidfer.commands import EXIT_FAILED, EXIT_OK
from vidfer.config import load_pipeline


def run(options: argparse.Namespace) -> int:
    """Write a PNG with each face of the frame: aligned, with Grad-CAM over it, and the probabilities."""
    config = load_pipeline(options.pipeline, options.set)
    from vidfer.learning.evaluation.calibration import softmax
    from vidfer.learning.evaluation.gradcam import gradcam
    from vidfer.learning.single_frame import look_at_frame
    from vidfer.report.explanation import ExplainedFace, draw_explanation
    from vidfer.store.atomic import write_bytes

    seen = look_at_frame(Path(options.clip), options.frame - 1, config)
    if not len(seen.faces):
        print(f"{options.clip}: no face in frame {options.frame}")
        return EXIT_FAILED
    heat = gradcam(seen.network, seen.aligned)
    probabilities = softmax(seen.logits)
    faces = [
        ExplainedFace(
            picture=seen.aligned[i].permute(1, 2, 0).cpu().numpy(),
            heat=heat[i],
            probabilities=probabilities[i],
            quality=float(seen.faces.quality[i]),
        )
        for i in range(len(seen.faces))
    ]
    clip = Path(options.clip).name
    out = Path(options.out or f"{Path(options.clip).stem}-frame{options.frame}.png")
    write_bytes(out, draw_explanation(faces, title=f"{clip}, frame {options.frame} ({seen.pts_seconds:.2f} s)"))
    if not options.quiet:
        print(out)
    return EXIT_OK
