"""Faces over the Lab Streaming Layer, to a real inlet in another process; and to one that never reads."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import numpy as np
import pytest
from fixtures.live_frames import live_frame
from fixtures.live_receivers import WAIT_SECONDS, check_lsl, receiving

from vidfer.errors import ConfigError, MissingDependency
from vidfer.live.lsl import CHANNELS, LslStream


def test_a_receiver_gets_each_face_with_its_labels_and_the_time_the_frame_came() -> None:
    check_lsl()
    import pylsl

    name = f"vidfer test {os.getpid()}"
    stream = LslStream(name)
    with receiving(name, 4) as receiver:
        assert receiver.stdout is not None
        described = json.loads(receiver.stdout.readline())  # it has been opened: what is sent now arrives
        assert described == ["Expression", 0.0, list(CHANNELS), ["none"] + 8 * ["probability"]]
        before = pylsl.local_clock()
        for number, num_faces in enumerate((1, 0, 2)):
            stream.send(live_frame(number, num_faces), time.perf_counter() - 10.0)  # it was there ten seconds ago
        after = pylsl.local_clock()
        samples = [json.loads(receiver.stdout.readline()) for _ in range(4)]
    values, times = zip(*samples, strict=True)
    assert [sample[0] for sample in values] == [0, -1, 0, 1]
    assert values[0][1:] == [k / 1024 for k in range(8)]
    assert values[3][1:] == [(k + 2 + 1) / 1024 for k in range(8)]
    assert np.isnan(values[1][1:]).all()
    assert times[2] == times[3], "faces of one frame have one time"
    assert before - 10.0 <= times[0] <= times[1] <= times[2] <= after - 10.0 + 1e-3


def test_a_receiver_that_never_reads_or_is_gone_holds_up_nobody() -> None:
    check_lsl()
    name = f"vidfer slow {os.getpid()}"
    stream = LslStream(name)

    def send() -> None:
        for number in range(10_000):
            stream.send(live_frame(number, 2), time.perf_counter())

    for is_gone in (False, True):
        with receiving(name, 0) as receiver:
            assert receiver.stdout is not None
            assert receiver.stdout.readline()
            if is_gone:
                receiver.kill()
            sending = threading.Thread(target=send, daemon=True)
            sending.start()
            sending.join(WAIT_SECONDS)
            assert not sending.is_alive()


def test_a_name_is_needed_and_what_is_missing_is_named(monkeypatch) -> None:
    with pytest.raises(ConfigError, match="--lsl: expected a name"):
        LslStream("")
    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(MissingDependency, match=r"pip install 'vidfer\[lsl\]'"):
        LslStream("a")
