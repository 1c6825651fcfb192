"""``vidfer explain``: what the networks saw in one frame, as pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vidfer.commands import EXIT_FAILED, EXIT_OK
from vidfer.config import PipelineConfig, load_pipeline
from vidfer.errors import ConfigError
from vidfer.labels import EMOTION_INDEX, EMOTIONS

if TYPE_CHECKING:
    from vidfer.learning.single_frame import FrameFaces


def run(options: argparse.Namespace) -> int:
    """Write a PNG with each face of the frame: aligned, with Grad-CAM over it, and the probabilities."""
    config = load_pipeline(options.pipeline, options.set)
    from vidfer.learning.single_frame import look_at_frame

    seen = look_at_frame(Path(options.clip), options.frame - 1, config)
    if not len(seen.faces):
        print(f"{options.clip}: no face in frame {options.frame}")
        return EXIT_FAILED
    out = Path(options.out or f"{Path(options.clip).stem}-frame{options.frame}.png")
    title = f"{Path(options.clip).name}, frame {options.frame} ({seen.pts_seconds:.2f} s)"
    _explain_frame(seen, config, options, out, title)
    written = [out]
    if options.over_time:
        written.append(out.with_name(f"{out.stem}-time{out.suffix}"))
        _explain_time(seen, config, options, written[-1], title)
    if not options.quiet:
        for path in written:
            print(path)
    return EXIT_OK


def _explain_frame(
    seen: FrameFaces, config: PipelineConfig, options: argparse.Namespace, out: Path, title: str
) -> None:
    import numpy as np

    from vidfer.learning.evaluation.calibration import softmax
    from vidfer.learning.evaluation.feature_maps import feature_maps
    from vidfer.learning.evaluation.gradcam import gradcam
    from vidfer.learning.evaluation.occlusion import occlusion
    from vidfer.pipeline.emotions import prior_log_ratio
    from vidfer.report.explanation import MAX_FACES, ExplainedFace, draw_explanation
    from vidfer.store.atomic import write_bytes

    probabilities = softmax(seen.logits)[:MAX_FACES]
    aligned = seen.aligned[:MAX_FACES]
    emotions = probabilities.argmax(1)
    if options.emotion:
        emotions = np.full(len(emotions), EMOTION_INDEX[options.emotion])
    layers = feature_maps(seen.network, aligned[0], options.feature_maps) if options.feature_maps else {}
    maps = {f"{layer.title} ({name})": layer.maps for name, layer in layers.items()}
    heat = gradcam(seen.network, aligned, emotions)
    covered = None
    if options.attention:
        covered = occlusion(seen.network, aligned, emotions, ratio=prior_log_ratio(config.emotions, config.backbone))
    faces = [
        ExplainedFace(
            picture=aligned[i].permute(1, 2, 0).cpu().numpy(),
            heat=heat[i],
            probabilities=probabilities[i],
            quality=float(seen.faces.quality[i]),
            emotion=int(emotions[i]),
            attention=None if covered is None else covered[i],
        )
        for i in range(len(aligned))
    ]
    write_bytes(out, draw_explanation(faces, title=title, maps=maps))


def _explain_time(seen: FrameFaces, config: PipelineConfig, options: argparse.Namespace, out: Path, title: str) -> None:
    from vidfer.learning.evaluation.time_attribution import time_attribution
    from vidfer.learning.single_frame import track_at
    from vidfer.pipeline.emotions import temporal_model
    from vidfer.report.time_attribution import draw_time_attribution
    from vidfer.store.atomic import write_bytes

    model = temporal_model(config.temporal, device="cpu")
    followed = track_at(Path(options.clip), seen.pts_seconds, config)
    if followed is None:
        raise ConfigError(f"{options.clip}: no face is followed around frame {options.frame}: choose another --frame")
    found = time_attribution(
        model,
        followed.track,
        at_seconds=seen.pts_seconds,
        emotion=EMOTION_INDEX[options.emotion] if options.emotion else None,
        shift=followed.shift,
    )
    picture = draw_time_attribution(
        found.seconds,
        found.amount,
        found.probabilities,
        emotion=found.emotion,
        at_seconds=found.at_seconds,
        title=f"{title}, face {followed.face_id}: what {config.temporal.name} reads {EMOTIONS[found.emotion]} from",
    )
    write_bytes(out, picture)
