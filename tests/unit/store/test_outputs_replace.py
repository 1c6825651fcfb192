"""A video with hidden faces does not leave the clear one beside it that an earlier run wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.clip_results import make_clip

from vidfer.store import outputs


@pytest.mark.parametrize(
    ("exports", "stays"), [(("overlay-blurred",), False), (("overlay", "overlay-blurred"), True), (("overlay",), True)]
)
def test_no_clear_overlay_stays_beside_a_blurred_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exports: tuple[str, ...], stays: bool
) -> None:
    def write(clip: object, path: Path, exporter: object, on_progress: Callable[[], None]) -> None:
        path.write_bytes(b"video")  # encoding is tested elsewhere

    monkeypatch.setattr(outputs, "_write_video", write)
    (tmp_path / "overlay.mp4").write_bytes(b"from an earlier run")
    outputs.write_outputs(make_clip(seconds=1), tmp_path, exports)
    assert (tmp_path / "overlay.mp4").exists() == stays
    assert (tmp_path / "overlay_blurred.mp4").exists() == ("overlay-blurred" in exports)
