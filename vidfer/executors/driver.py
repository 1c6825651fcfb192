"""The driver's side of executors on several machines: hands out items, receives results, retries what is silent.

What differs between engines is behind `Engine`: how a submission begins, which messages come from it, how it is ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from vidfer.errors import ClusterError
from vidfer.executors import ItemT, Outcome, ValueT
from vidfer.executors.attempts import Attempts, Task
from vidfer.executors.node import Message

LISTEN_SECONDS = 1.0  # how long an engine may wait for a message
_STALL_SECONDS = 2.0
HandleT = TypeVar("HandleT")


@dataclass(frozen=True)
class SubmissionLost:
    """A submission has ended, without an outcome for some of its items.

    Attributes
    ----------
    reason
        In a few words.
    """

    reason: str


class Engine(Protocol[HandleT]):
    """Where submissions of one run are worked on, each by `vidfer.executors.node.work` on some machine.

    Attributes
    ----------
    items_per_submission
        At most so many travel together.
    silence_seconds
        A submission that has begun and says nothing for so long is ended by force, and counts as crashed.
    """

    items_per_submission: int
    silence_seconds: float

    def room(self) -> int:
        """Return how many submissions may be in flight now, at least 1."""
        ...

    def submit(self, pickled_items: Sequence[bytes]) -> HandleT:
        """Have the engine work on some items, when there is room for them."""
        ...

    def listen(self, handles: Sequence[HandleT]) -> Iterable[tuple[HandleT, Message | SubmissionLost]]:
        """Wait for `LISTEN_SECONDS` at most, and yield the messages of each submission, in order."""
        ...

    def cancel(self, handle: HandleT) -> None:
        """End a submission at once, whatever it does; its node may be gone."""
        ...


@dataclass(eq=False)
class _Submission(Generic[ItemT]):
    left: dict[int, Task[ItemT]]  # by number within the submission; worked on in this order
    last_message: float | None = None  # when; None in the queue: waiting there is no silence
    node: str = "a node"


class _Drive(Generic[HandleT, ItemT, ValueT]):
    def __init__(
        self,
        engine: Engine[HandleT],
        attempts: Attempts[ItemT, ValueT],
        on_event: Callable[[ItemT, Any], None] | None,
    ) -> None:
        self.engine, self.attempts, self.on_event = engine, attempts, on_event
        self.running: dict[HandleT, _Submission[ItemT]] = {}

    def outcomes(self) -> Generator[Outcome[ItemT, ValueT], None, None]:
        listened = time.monotonic()
        try:
            while True:
                self._hand_out()  # before yielding: nodes have work while the caller deals with an outcome
                while self.attempts.done:
                    yield self.attempts.done.popleft()
                if not self.running:
                    return
                for handle, message in self.engine.listen(list(self.running)):
                    self._take_in(handle, message)
                now = time.monotonic()
                if now - listened > LISTEN_SECONDS + _STALL_SECONDS:  # we were busy or suspended, not they
                    for submission in self.running.values():
                        submission.last_message = submission.last_message and now
                listened = now
                self._watch(now)
        finally:
            for handle in self.running:
                self.engine.cancel(handle)

    def _hand_out(self) -> None:
        while not self.running or len(self.running) < self.engine.room():
            tasks = self.attempts.take(self.engine.items_per_submission)
            if not tasks:
                return
            self.running[self.engine.submit([task.pickled for task in tasks])] = _Submission(dict(enumerate(tasks)))

    def _take_in(self, handle: HandleT, message: Message | SubmissionLost) -> None:
        submission = self.running.get(handle)
        if submission is None:
            return
        if isinstance(message, SubmissionLost):
            self._lose(handle, f"on {submission.node}: {message.reason}")
            return
        submission.last_message = time.monotonic()
        kind, number, value = message
        if kind == "node":
            submission.node = value
        elif kind == "event" and self.on_event is not None and number in submission.left:
            self.on_event(submission.left[number].item, value)
        elif kind == "log":
            name, level, text = value
            logging.getLogger(name).log(level, "%s", text)
        elif kind == "unusable":
            raise ClusterError(f"node {submission.node}: {value.message}")
        elif kind == "outcome" and number in submission.left:
            self.attempts.end(submission.left.pop(number), value.status, value=value.value, error=value.error)
            if not submission.left:
                del self.running[handle]

    def _watch(self, now: float) -> None:
        for handle, submission in list(self.running.items()):
            if submission.last_message is not None and now - submission.last_message > self.engine.silence_seconds:
                self.engine.cancel(handle)
                silence = f"which gave no sign of life for {now - submission.last_message:.0f} s"
                self._lose(handle, f"on {submission.node}, {silence}")

    def _lose(self, handle: HandleT, reason: str) -> None:
        """Count an attempt for the item that was being worked on; those behind it were never begun."""
        first, *others = self.running.pop(handle).left.values()
        self.attempts.lose(first, "crashed", reason)
        for task in others:
            self.attempts.put_back(task)


def drive(
    engine: Engine[HandleT],
    items: Iterable[ItemT],
    *,
    retries: int,
    on_event: Callable[[ItemT, Any], None] | None = None,
) -> Generator[Outcome[ItemT, Any], None, None]:
    """Have an engine work on items and yield one outcome for each, as `vidfer.executors.Executor.run` does.

    Raises
    ------
    ClusterError
        A node cannot start workers; or from the engine.
    """
    return _Drive(engine, Attempts(items, retries=retries), on_event).outcomes()
