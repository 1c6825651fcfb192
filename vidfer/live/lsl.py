"""Answers as a stream of the Lab Streaming Layer (LSL), beside EEG, eye trackers and the like: what ``--lsl`` does.

Whoever is in the same network can find such a stream and read it: that is how LSL works.
"""

from __future__ import annotations

import math
import socket
import time

from vidfer.errors import ConfigError, MissingDependency
from vidfer.labels import EMOTIONS
from vidfer.pipeline.stream import LiveFrame

CHANNELS = ("face_id", *EMOTIONS)
TYPE = "Expression"
_NOBODY = [-1.0, *(math.nan for _ in EMOTIONS)]  # as rows of timeline.csv without a face


class LslStream:
    """A stream of irregular rate: a sample for each face of each frame, one of nobody (-1, NaN) where there is none.

    LSL sends on threads of its own: a receiver that is slow or gone costs its own samples alone.

    Parameters
    ----------
    name
        What receivers look for.

    Raises
    ------
    ConfigError
        The name is empty.
    MissingDependency
        The package pylsl, or the library liblsl that its wheels carry, is not there.
    """

    def __init__(self, name: str) -> None:
        if not name:
            raise ConfigError("--lsl: expected a name for the stream")
        try:
            import pylsl
        except (ImportError, RuntimeError, OSError) as error:  # of the library: RuntimeError
            detail = "" if isinstance(error, ImportError) else "liblsl is not found"
            raise MissingDependency("pylsl", needed_for="vidfer live --lsl", extra="lsl", detail=detail) from error
        # The id lets receivers go on with the stream when it is started again.
        source_id = f"vidfer {socket.gethostname()} {name}"
        info = pylsl.StreamInfo(name, TYPE, len(CHANNELS), pylsl.IRREGULAR_RATE, pylsl.cf_float32, source_id)
        info.set_channel_labels(list(CHANNELS))
        info.set_channel_types(["Number", *("Probability" for _ in EMOTIONS)])
        info.set_channel_units(["none", *("probability" for _ in EMOTIONS)])
        info.desc().append_child("acquisition").append_child_value("manufacturer", "vidfer")
        self._clock = pylsl.local_clock
        self._outlet = pylsl.StreamOutlet(info)

    def send(self, frame: LiveFrame, arrived: float) -> None:
        """Send a frame's faces; ``arrived`` is the ``time.perf_counter()`` at which the frame was there."""
        at = self._clock() - (time.perf_counter() - arrived)
        for sample in [[float(face.face_id), *face.probabilities.values()] for face in frame.faces] or [_NOBODY]:
            self._outlet.push_sample(sample, at)
