"""Stage 4: the temporal model over each person's track."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vidfer.config import BackboneConfig, Baseline, ClassPrior, EmotionsConfig, TemporalConfig, options_of
from vidfer.faces.tracking import Track
from vidfer.labels import EMOTIONS
from vidfer.pipeline.exported_files import SUFFIX, factory_of
from vidfer.pipeline.tables import EmbeddingsTable, EmotionsTable, PeopleTable, Table, TracksTable, faces_in
from vidfer.pipeline.tracks import FrameTracks
from vidfer.temporal import TEMPORAL_MODELS, TemporalModel, TrackSequence
from vidfer.temporal.baseline import NEUTRAL_LOG_ODDS, baseline_shift, neutral_log_odds
from vidfer.temporal.online import StreamingModel, TrackStream, check_streams
from vidfer.temporal.online_baseline import OnlineBaseline
from vidfer.temporal.prior import class_shares, log_ratio, shifted
from vidfer.types import FaceDetections, FaceEmbeddings, FaceTracks, SampledFrames
from vidfer.types.validation import rows_by_number
from vidfer.weights import finite_number, load_tensors, locate

_AS_TRAINED, _DEFAULT_BACKBONE = EmotionsConfig(), BackboneConfig()


class EmotionsStage:
    """Turns embeddings and tracks into probabilities over time.

    The model is loaded when the first clip with a face comes. ``[emotions]`` is applied to what it gives: it was
    trained on probabilities as the network gives them.
    """

    def __init__(
        self,
        config: TemporalConfig,
        *,
        device: str,
        emotions: EmotionsConfig = _AS_TRAINED,
        backbone: BackboneConfig = _DEFAULT_BACKBONE,
        model: TemporalModel | None = None,
    ) -> None:
        self._config = config
        self._emotions = emotions
        self._backbone = backbone
        self._device = device
        self._model = model  # instead of the one that the settings name

    def process(self, tables: Mapping[str, Table]) -> EmotionsTable:
        """Return one row per face, given all stages before; NaN where the face was dropped from the tracks.

        The model reads each track alone. ``[emotions] baseline`` is of a person, where tracks are linked to people.
        """
        frames, faces, tracks, embeddings = of_clip(tables)
        probabilities = np.full(embeddings.logits.shape, np.nan, np.float32)
        shift, has_baseline = np.zeros(embeddings.logits.shape, np.float16), np.zeros(len(faces), np.bool_)
        rows_of = track_rows(tracks.track_id)
        if rows_of:
            ratio = prior_log_ratio(self._emotions, self._backbone)
            baseline = chosen_baseline(self._emotions, self._backbone, causal=self._config.causal)
            average = np.zeros(len(EMOTIONS)) if baseline == "none" else neutral_average(self._backbone)
            person_id = whose(tables)
            own = {
                int(person_id[rows[0]]): baseline_shift(
                    embeddings.logits[rows],
                    frames.pts_seconds[faces.frame_row[rows]],
                    baseline,
                    average,
                )
                for rows in track_rows(person_id)
            }
            sequences = track_sequences(rows_of, frames, faces, embeddings, as_stored=True)
            for rows, predicted in zip(rows_of, self._loaded().predict(sequences), strict=True):
                taken = own[int(person_id[rows[0]])]
                probabilities[rows] = shifted(predicted, ratio + taken)
                shift[rows], has_baseline[rows] = ratio + taken, taken.any()
        return EmotionsTable(probabilities=probabilities, shift=shift, has_baseline=has_baseline)

    def stream(self) -> OnlineEmotions:
        """Return what answers frame by frame; raises ConfigError if the model reads ahead."""
        model = check_streams(self._loaded(), self._config.name)
        baseline = chosen_baseline(self._emotions, self._backbone, causal=True)
        ratio = prior_log_ratio(self._emotions, self._backbone)
        if baseline == "none":
            return OnlineEmotions(model, ratio)
        average = neutral_average(self._backbone)
        which: Baseline = baseline if isinstance(baseline, str) else (0.0, 0.0)  # only rows of the stretch are given

        def neutral(logits: np.ndarray) -> np.ndarray:
            return baseline_shift(logits, np.zeros(len(logits)), which, average)

        return OnlineEmotions(model, ratio, OnlineBaseline(baseline, neutral, np.zeros(len(EMOTIONS))))

    def _loaded(self) -> TemporalModel:
        if self._model is None:
            self._model = temporal_model(self._config, device=self._device)
        return self._model


def temporal_model(config: TemporalConfig, *, device: str) -> TemporalModel:
    """Return the model that ``[temporal]`` names; raises ConfigError or WeightsError if there is none."""
    return factory_of(TEMPORAL_MODELS, config.name, config.weights)(
        device=device,
        weights=config.weights,
        causal=config.causal,
        window_seconds=config.window_seconds,
        overlap_seconds=config.overlap_seconds,
        **options_of(config, config.name),
    )


class OnlineEmotions:
    """The model's state for each person who may go on.

    Parameters
    ----------
    model
        Causal.
    ratio
        (8,) of ``[emotions] prior``.
    baseline
        Each person's own neutral, as (8,) that are added like ``ratio``.
    """

    def __init__(self, model: StreamingModel, ratio: np.ndarray, baseline: OnlineBaseline | None = None) -> None:
        self._model, self._ratio, self._baseline = model, ratio, baseline
        self._streams: dict[Track, TrackStream] = {}

    def push(self, tables: Mapping[str, Table], seen: FrameTracks) -> EmotionsTable:
        """Return one row per face of the next frame; NaN for those that do not count yet.

        Parameters
        ----------
        tables
            ``faces``, ``embeddings`` and ``tracks`` of the frame.
        seen
            Whose the faces are.
        """
        frames, faces, tracks, embeddings = of_clip(tables)
        seconds = float(frames.pts_seconds[0])
        taken = np.zeros((len(faces), len(EMOTIONS)))
        if self._baseline is not None:
            taken = self._baseline.push(seconds, embeddings.logits, seen.found, seen.owners, seen.remembered)
        added = self._ratio + taken
        probabilities = np.full(embeddings.logits.shape, np.nan, np.float32)
        self._streams = {track: self._streams.get(track) or self._model.stream() for track in seen.still_open}
        for row, track in enumerate(seen.found):
            if track is not None:
                predicted = self._streams[track].push(
                    seconds,
                    embeddings.vectors[row],
                    embeddings.logits[row],
                    float(faces.quality[row]),
                )
                if tracks.track_id[row] >= 0:
                    probabilities[row] = shifted(predicted, added[row])
        return EmotionsTable(
            probabilities=probabilities, shift=added.astype(np.float16), has_baseline=np.asarray(taken.any(1))
        )


def of_clip(tables: Mapping[str, Table]) -> tuple[SampledFrames, FaceDetections, FaceTracks, FaceEmbeddings]:
    """Return what ``faces``, ``tracks`` and ``embeddings`` hold."""
    faces, tracks, embeddings = faces_in(tables), tables["tracks"], tables["embeddings"]
    assert isinstance(tracks, TracksTable)
    assert isinstance(embeddings, EmbeddingsTable)
    return (
        faces.frames(),
        faces.detections(),
        FaceTracks(track_id=tracks.track_id),
        FaceEmbeddings(vectors=embeddings.vectors, logits=embeddings.logits),
    )


def prior_log_ratio(emotions: EmotionsConfig, backbone: BackboneConfig) -> np.ndarray:
    """Return what ``[emotions] prior`` adds to the log-probabilities of a pipeline's network, (8,).

    A number, as by default, is for networks whose file says its class shares: of others it is not known where to start.
    """
    if emotions.prior == "natural":
        return np.zeros(len(EMOTIONS))
    metadata, path = _backbone_metadata(backbone)
    if isinstance(emotions.prior, float) and "class_shares" not in metadata:
        return np.zeros(len(EMOTIONS))
    temperature = finite_number(metadata, "temperature", default=1.0, source=path)
    prior = emotions.prior.model_dump() if isinstance(emotions.prior, ClassPrior) else emotions.prior
    return log_ratio(prior, class_shares(metadata), temperature=temperature)


def chosen_baseline(emotions: EmotionsConfig, backbone: BackboneConfig, *, causal: bool) -> Baseline:
    """Return what ``[emotions] baseline`` comes to: ``auto`` is ``clip`` where the network allows it and not causal."""
    if emotions.baseline != "auto":
        return emotions.baseline
    return "none" if causal or NEUTRAL_LOG_ODDS not in _backbone_metadata(backbone)[0] else "clip"


def neutral_average(backbone: BackboneConfig) -> np.ndarray:
    """Return (8,) what a pipeline's network says of neutral faces on average (``temporal.baseline``)."""
    metadata, path = _backbone_metadata(backbone)
    return neutral_log_odds(metadata, source=path)


@lru_cache(maxsize=8)  # it reads the whole weight file, for every picture and clip
def _backbone_metadata(backbone: BackboneConfig) -> tuple[dict[str, Any], Path]:
    """Return what the weight file of the per-frame network says of it, and the file in use."""
    path = locate("backbone", backbone.name, backbone.weights)[0]
    if path.suffix != SUFFIX:
        return load_tensors(path)[1], path
    from vidfer.pipeline.exported import trained_metadata

    return trained_metadata(str(path)), path


def whose(tables: Mapping[str, Table]) -> np.ndarray:
    """Return whose each face is, (N,) int32: the person's number, or the track's where tracks are not linked."""
    people, tracks = tables.get("people"), tables["tracks"]
    assert people is None or isinstance(people, PeopleTable)
    assert isinstance(tracks, TracksTable)
    return tracks.track_id if people is None else people.person_id


def track_rows(track_id: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each track or person (N,), by id, in order of time; dropped faces are left out."""
    return [rows for _, rows in rows_by_number(track_id)]


def track_sequences(
    rows_of: list[np.ndarray],
    frames: SampledFrames,
    faces: FaceDetections,
    embeddings: FaceEmbeddings,
    *,
    as_stored: bool = False,
) -> list[TrackSequence]:
    """Return what a sequence model reads of each track, given its rows as ``track_rows`` gives them.

    ``as_stored`` leaves the vectors in float16, for half the memory.
    """
    return [
        TrackSequence(
            pts_seconds=frames.pts_seconds[faces.frame_row[rows]],
            vectors=_rows(embeddings.vectors, rows).astype(np.float16 if as_stored else np.float32, copy=False),
            logits=embeddings.logits[rows],
            quality=faces.quality[rows],
        )
        for rows in rows_of
    ]


def _rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return some rows, ascending; without a copy where none is left out."""
    first, last = int(rows[0]), int(rows[-1]) + 1
    return values[first:last] if last - first == len(rows) else values[rows]
