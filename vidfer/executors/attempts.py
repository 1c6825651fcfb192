"""Which item is tried next, and what became of those that were: every executor's retries are counted here."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Generic

from vidfer.executors import ItemT, Outcome, Status, TaskError, ValueT


@dataclass(eq=False)
class Task(Generic[ItemT]):
    """An item, as it travels, and how many attempts at it have ended."""

    item: ItemT
    pickled: bytes
    attempts: int = 0


class Attempts(Generic[ItemT, ValueT]):
    """Hands out items, lost ones again, until each has an outcome.

    What an exception ended is not tried again: it would come again. A crash or a timeout is, ``retries`` times.

    Parameters
    ----------
    items
        Taken when they are wanted.
    retries
        Further attempts after a crash or a timeout.

    Attributes
    ----------
    done
        Outcomes that have not been taken yet.
    """

    def __init__(self, items: Iterable[ItemT], *, retries: int) -> None:
        self.done: deque[Outcome[ItemT, ValueT]] = deque()
        self._items = iter(items)
        self._retries = retries
        self._again: deque[Task[ItemT]] = deque()
        self._exhausted = False

    def take(self, most: int = 1) -> list[Task[ItemT]]:
        """Return up to ``most`` items to try now, none if all that is left is in work.

        One that was lost comes alone: it may take others with it.
        """
        if self._again:
            return [self._again.popleft()]
        tasks: list[Task[ItemT]] = []
        while len(tasks) < most and not self._exhausted:
            try:
                item = next(self._items)
            except StopIteration:
                self._exhausted = True
                break
            try:
                tasks.append(Task(item, pickle.dumps(item)))
            except Exception as error:
                message = f"the item cannot be sent to a worker: {error}"
                failure = TaskError(kind=type(error).__name__, message=message, permanent=True)
                self.done.append(Outcome(item=item, status="failed", value=None, error=failure, attempts=1))
        return tasks

    def put_back(self, task: Task[ItemT]) -> None:
        """Take back an item that was never begun."""
        self._again.append(task)

    def end(
        self, task: Task[ItemT], status: Status, *, value: ValueT | None = None, error: TaskError | None = None
    ) -> None:
        """Count an attempt that has ended: the item is done, or to be tried again."""
        task.attempts += 1
        if status in ("crashed", "timeout"):
            if task.attempts <= self._retries:
                self._again.append(task)
                return
            if error is not None and task.attempts > 1:
                error = replace(error, message=f"{error.message} (tried {task.attempts} times)")
        self.done.append(Outcome(item=task.item, status=status, value=value, error=error, attempts=task.attempts))

    def lose(self, task: Task[ItemT], status: Status, reason: str, *, traceback: str = "") -> None:
        """Count an attempt whose process is gone without a word."""
        kind, what = ("WorkerTimeout", "was killed") if status == "timeout" else ("WorkerCrash", "was lost")
        message = f"the worker process {what}: {reason}"
        self.end(task, status, error=TaskError(kind=kind, message=message, traceback=traceback))
