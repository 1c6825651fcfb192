"""overlay.mp4 and overlay_blurred.mp4: the clip's video with what was found in it drawn over every frame."""

from __future__ import annotations

from vidfer.exporters import Paint, video_exporter
from vidfer.types import ClipResult


@video_exporter("overlay", filename="overlay.mp4", version=3)
def painter(clip: ClipResult) -> Paint:
    """Return what draws boxes, landmarks, face ids and a bar per emotion."""
    from vidfer.report.face_painter import FacePainter

    return FacePainter(clip)


@video_exporter("overlay-blurred", filename="overlay_blurred.mp4", version=4, replaces="overlay.mp4")
def blurring_painter(clip: ClipResult) -> Paint:
    """Return what hides the faces and draws boxes, ids and bars."""
    from vidfer.report.face_painter import FacePainter

    return FacePainter(clip, blur_faces=True)
