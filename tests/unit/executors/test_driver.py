"""The policy that executors of several machines share, with an engine in this process that does as it is told."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from vidfer.errors import ClusterError
from vidfer.executors import Outcome
from vidfer.executors.driver import SubmissionLost, drive
from vidfer.executors.node import Message

Script = Callable[[list[Any]], Iterator[Message | SubmissionLost | None]]  # None: nothing is heard for a moment


class ScriptedEngine:
    """Plays what a script says of each submission, a step of each at a time."""

    def __init__(self, script: Script, *, room: int = 2, items_per_submission: int = 1, silence: float = 60.0) -> None:
        self.script, self.limit, self.silence_seconds = script, room, silence
        self.items_per_submission = items_per_submission
        self.submitted: list[list[Any]] = []
        self.cancelled: list[int] = []
        self.most_in_flight = 0
        self._plays: dict[int, Iterator[Message | SubmissionLost | None]] = {}

    def room(self) -> int:
        return self.limit

    def submit(self, pickled_items: Sequence[bytes]) -> int:
        items = [pickle.loads(item) for item in pickled_items]
        self.submitted.append(items)
        handle = len(self.submitted)
        self._plays[handle] = self.script(items)
        return handle

    def listen(self, handles: Sequence[int]) -> Iterator[tuple[int, Message | SubmissionLost]]:
        self.most_in_flight = max(self.most_in_flight, len(handles))
        time.sleep(0.01)
        for handle in handles:
            heard = next(self._plays[handle], None)
            if heard is not None:
                yield handle, heard

    def cancel(self, handle: int) -> None:
        self.cancelled.append(handle)


def outcome(value: Any) -> Outcome[Any, Any]:
    return Outcome(item=None, status="ok", value=value, error=None, attempts=1)


def doubled(items: list[Any]) -> Iterator[Message | SubmissionLost | None]:
    for number, item in enumerate(items):
        yield "node", number, "n1"
        yield "outcome", number, outcome(2 * item)


def test_every_item_has_its_outcome_and_no_more_are_in_flight_than_there_is_room_for() -> None:
    engine = ScriptedEngine(doubled, room=3, items_per_submission=2)
    outcomes = list(drive(engine, range(11), retries=0))
    assert {one.item: one.value for one in outcomes} == {n: 2 * n for n in range(11)}
    assert engine.most_in_flight == 3
    assert [len(items) for items in engine.submitted] == [2, 2, 2, 2, 2, 1]
    assert engine.cancelled == []


def test_of_a_lost_submission_the_item_in_work_loses_an_attempt_and_those_behind_it_none() -> None:
    def script(items: list[Any]) -> Iterator[Message | SubmissionLost | None]:
        if 1 not in items:
            yield from doubled(items)
            return
        for number, item in enumerate(items):
            yield "node", number, "n1"
            if item == 1:
                yield SubmissionLost("the power failed")
            yield "outcome", number, outcome(2 * item)

    engine = ScriptedEngine(script, items_per_submission=4)
    outcomes = {one.item: one for one in drive(engine, range(4), retries=1)}
    assert engine.submitted == [[0, 1, 2, 3], [1], [2], [3]]
    assert [(outcomes[n].status, outcomes[n].attempts) for n in (0, 2, 3)] == [("ok", 1)] * 3
    assert (outcomes[1].status, outcomes[1].attempts) == ("crashed", 2)
    assert outcomes[1].error is not None
    assert outcomes[1].error.message == "the worker process was lost: on n1: the power failed (tried 2 times)"


def test_silence_counts_from_the_first_word_and_never_in_the_queue() -> None:
    def script(items: list[Any]) -> Iterator[Message | SubmissionLost | None]:
        if items == ["queued"]:
            yield from [None] * 50
            yield "outcome", 0, outcome("done")
            return
        yield "node", 0, "n2"
        while True:
            yield None

    engine = ScriptedEngine(script, silence=0.2)
    outcomes = {one.item: one for one in drive(engine, ["queued", "silent"], retries=0)}
    assert outcomes["queued"].value == "done"
    assert outcomes["silent"].status == "crashed"
    assert outcomes["silent"].error is not None
    assert "on n2, which gave no sign of life for" in outcomes["silent"].error.message
    assert engine.cancelled == [2]


def test_time_that_the_driver_itself_was_away_is_nobodys_silence() -> None:
    def script(items: list[Any]) -> Iterator[Message | SubmissionLost | None]:
        yield "node", 0, "n1"
        if items == ["slow"]:
            yield from [None] * 3
        yield "outcome", 0, outcome("done")

    engine = ScriptedEngine(script, silence=3.0)
    outcomes = drive(engine, ["quick", "slow"], retries=0)
    assert next(outcomes).item == "quick"
    time.sleep(3.3)  # the caller deals with it
    assert [(one.item, one.status) for one in outcomes] == [("slow", "ok")]


def test_closing_ends_what_is_in_flight() -> None:
    def script(items: list[Any]) -> Iterator[Message | SubmissionLost | None]:
        if items == [0]:
            yield from doubled(items)
        while True:
            yield None

    engine = ScriptedEngine(script)
    outcomes = drive(engine, range(9), retries=0)
    assert next(outcomes).value == 0
    outcomes.close()
    assert engine.cancelled == [2, 3]


def test_an_item_that_cannot_travel_fails_alone() -> None:
    outcomes = {str(one.item)[:5]: one for one in drive(ScriptedEngine(doubled), [1, lambda: None, 2], retries=3)}
    failed = outcomes.pop("<func")
    assert (failed.status, failed.attempts) == ("failed", 1)
    assert failed.error is not None
    assert failed.error.permanent
    assert [one.value for one in outcomes.values()] == [2, 4]


def test_a_node_that_cannot_start_workers_ends_the_run_with_its_name() -> None:
    class Why:
        message = "a worker process cannot import its task"

    def script(items: list[Any]) -> Iterator[Message | SubmissionLost | None]:
        yield "node", 0, "n3"
        yield "unusable", 0, Why()

    with pytest.raises(ClusterError, match="node n3: a worker process cannot import its task"):
        list(drive(ScriptedEngine(script), [1], retries=3))
