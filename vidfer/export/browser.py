"""A static folder that reads expressions in a browser: vidfer's networks, onnxruntime-web, and a page over both.

What the page does between the networks is what a stream does (``vidfer.pipeline.stream``), written again in
JavaScript: ``web/stream.js`` and what it imports. All numbers it needs come from here, in ``pipeline.json``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import vidfer
from vidfer.config import PipelineConfig
from vidfer.errors import ConfigError
from vidfer.export.networks import ExportableNetwork
from vidfer.exporters.table import COLUMNS
from vidfer.exporters.timeline_csv import FORMATS
from vidfer.faces import align, cuts, pose, quality, tracking
from vidfer.faces.detectors import LARGEST_SIDE, SHRINK, SMALLEST_SIDE, embedded
from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.pipeline import faces, following, tracks
from vidfer.pipeline.emotions import prior_log_ratio
from vidfer.report.chart_options import INKS
from vidfer.store.atomic import write_bytes
from vidfer.temporal import grid, online
from vidfer.temporal.networks import features, predictor

RUNTIME = "onnxruntime-web@1.30.0"  # of npm; what the page was tested with
NETWORKS = ("detector", "landmarks", "quality", "expressions", "temporal_step")
_WASM = "ort-wasm-simd-threaded.wasm"
_RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", _WASM)  # of its folder dist


def runtime_files(source: str = "") -> dict[str, bytes]:
    """Return the files of onnxruntime-web that the page needs, by name.

    Parameters
    ----------
    source
        The package: its folder (``node_modules/onnxruntime-web``) or what ``npm pack`` wrote (``.tgz``). Empty: npm
        fetches ``RUNTIME``.

    Raises
    ------
    ConfigError
        It is no such package; or nothing is named, and npm is not there, or fails.
    """
    if not source:
        with tempfile.TemporaryDirectory() as folder:
            return runtime_files(str(_packed(Path(folder))))
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return {name: (path / "dist" / name).read_bytes() for name in _RUNTIME_FILES}
        with tarfile.open(path) as package:
            members = {name: package.extractfile(f"package/dist/{name}") for name in _RUNTIME_FILES}
            return {name: member.read() for name, member in members.items()}  # type: ignore[union-attr]  # files all
    except (OSError, KeyError, AttributeError, tarfile.TarError) as error:
        raise ConfigError(
            f"--runtime: expected the npm package onnxruntime-web, its folder or the file of 'npm pack {RUNTIME}', "
            f"got {source}: {error}"
        ) from error


def _packed(folder: Path) -> Path:
    """Let npm, which checks the digest, fetch the package into a folder; return the file."""
    npm, said = shutil.which("npm"), "there is no npm here"
    if npm is not None:
        command = [npm, "pack", RUNTIME, "--loglevel=error", "--fetch-retries=1"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        said = done.stderr.partition("\n")[0] or f"exit code {done.returncode}"
    packed = list(folder.glob("*.tgz"))
    if not packed:
        raise ConfigError(
            f"vidfer export web: expected npm to fetch {RUNTIME} (33 MB, which no Python package carries), got: "
            f"{said}; run 'npm pack {RUNTIME}' on a machine that can, and name the file with --runtime"
        )
    return packed[0]


def write_web(
    config: PipelineConfig,
    networks: Iterable[ExportableNetwork],
    folder: Path,
    *,
    runtime: Mapping[str, bytes],
) -> None:
    """Write the page and the runtime into a folder, beside the networks.

    Parameters
    ----------
    config
        Of the pipeline; see ``check_live``.
    networks
        The pipeline's, of which ``write_onnx`` wrote the files into ``networks`` below the folder.
    folder
        To be served as it is.
    runtime
        Of ``runtime_files``.
    """
    given = {network.name: network for network in networks}
    parts = [{"network": name, "path": f"networks/{name}.onnx"} for name in NETWORKS]
    for name, data in runtime.items():
        write_bytes(folder / "runtime" / name, data)
    parts.append({"path": f"runtime/{_WASM}"})
    sizes = [{**part, "bytes": (folder / part["path"]).stat().st_size} for part in parts]
    about = {**pipeline_numbers(config, given), "files": sizes}
    write_bytes(folder / "pipeline.json", json.dumps(about, separators=(",", ":")).encode())
    drawing = resources.files("vidfer.report") / "faces_over_time.js"
    for file in (drawing, *(resources.files("vidfer.export") / "web").iterdir()):
        write_bytes(folder / file.name, file.read_bytes())


def pipeline_numbers(config: PipelineConfig, networks: Mapping[str, ExportableNetwork]) -> dict[str, Any]:
    """Return all numbers that ``web/stream.js`` and the page read, JSON-ready."""
    about = {name: network.about for name, network in networks.items()}
    states = list(networks["temporal_step"].inputs.items())[1:]

    def side(name: str) -> int:
        return int(next(iter(networks[name].inputs.values())).shape[-1])

    return {
        "vidfer": vidfer.__version__,
        "labels": EMOTIONS,
        "colours": EMOTION_COLOURS,
        "inks": INKS,
        "columns": COLUMNS,
        "decimals": {name: int(number_format[2:-1]) for name, number_format in FORMATS.items()},
        "prior": prior_log_ratio(config.emotions, config.backbone).tolist(),
        "detector": {
            "minScore": config.faces.min_score,
            "longSide": config.faces.long_side,
            "smallestSide": SMALLEST_SIDE,
            "largestSide": LARGEST_SIDE,
            "shrink": SHRINK,
            "maxEnlargement": embedded._MAX_ENLARGEMENT,
            "maxIou": embedded._MAX_IOU,
            "mostCandidates": embedded._MAX_CANDIDATES,
            "everyPx": embedded.EVERY_PX,
            "leastLight": embedded._LEAST_LIGHT,
            "leastRed": embedded._LEAST_RED,
        },
        "landmarks": {
            "size": side("landmarks"),
            "margin": about["landmarks"]["margin"],
            "luma": align.LUMA,
            "box": {"forehead": align._FOREHEAD, "moves": align._BOX_MOVES.tolist()},
        },
        "quality": {
            "size": quality.QUALITY_SIZE,
            "luma": align.LUMA,
            "template": align.TEMPLATE.tolist(),
            "smallestPx": quality._SMALLEST_PX,
            "largeEnoughPx": quality.LARGE_ENOUGH_PX,
        },
        "expressions": {"size": side("expressions"), "colour": about["expressions"]["colour"]},
        "pose": {
            "meanFace": pose.MEAN_FACE.tolist(),
            "pointWeights": pose.POINT_WEIGHTS.tolist(),
            "steps": pose._STEPS,
        },
        "faces": {
            "minSize": config.faces.min_size,
            "maxFaces": config.faces.max_faces,
            "minLandmarkScore": config.faces.min_landmark_score,
            "detectEvery": config.faces.detect_every,
            "maxFollowSeconds": faces.MAX_FOLLOW_SECONDS,
            "steadySeconds": following.STEADY_SECONDS,
            "seenAgainIou": following.SEEN_AGAIN_IOU,
            "maxOffPath": faces.MAX_OFF_PATH,
            "mostInverted": faces.MOST_INVERTED,
            "sureUpright": faces.SURE_UPRIGHT,
            "nearlyAsSure": faces.NEARLY_AS_SURE,
        },
        "tracks": {
            "countsFrom": tracks.COUNTS_FROM,
            "minIou": config.tracks.min_iou,
            "maxGapSeconds": config.tracks.max_gap_seconds,
            "startScore": config.tracks.start_score,
            "duplicateIou": tracking.DUPLICATE_IOU,
            "newTrackMaxIou": tracking.NEW_TRACK_MAX_IOU,
            "newTrackMaxContained": tracking.NEW_TRACK_MAX_CONTAINED,
            "maxSizeRatio": tracking.MAX_SIZE_RATIO,
            "secondChanceSizes": tracking.SECOND_CHANCE_SIZES,
            "secondChanceSizesPerSecond": tracking.SECOND_CHANCE_SIZES_PER_SECOND,
            "secondChanceMaxSizes": tracking.SECOND_CHANCE_MAX_SIZES,
            "velocitySeconds": tracking.VELOCITY_SECONDS,
            "predictionSeconds": tracking.PREDICTION_SECONDS,
            "noMatch": tracking.NO_MATCH,
        },
        "cuts": {
            "grid": cuts.GRID,
            "block": cuts.BLOCK,
            "levels": cuts.COLOUR_LEVELS,
            "luma": align.LUMA,
            "maxCorrelation": cuts.MAX_CORRELATION,
            "newLayout": cuts.NEW_LAYOUT,
            "colourDistance": [cuts.MIN_COLOUR_DISTANCE_OF_NEW, cuts.MIN_COLOUR_DISTANCE],
        },
        "temporal": {
            "stepSeconds": grid.STEP_SECONDS,
            "maxGapSeconds": grid.MAX_GAP_SECONDS,
            "gapSteps": grid.GAP_STEPS,
            "delaySteps": grid.DELAY_STEPS,
            "tolerance": grid.TOLERANCE,
            "keptNodes": online._KEPT_NODES,
            "readNodes": predictor._READ_NODES,
            "minLogProbability": features.MIN_LOG_PROBABILITY,
            "states": [{"name": name, "shape": list(state.shape)} for name, state in states],
        },
    }
