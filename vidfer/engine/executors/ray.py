"""Ray Core: the same work on the machines of a cluster, or on all GPUs of this one. One Ray task per item."""

from __future__ import annotations

import contextlib
import os
import pickle
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic

from vidfer.engine.executors import EXECUTORS, ItemT, Outcome, Resources, ValueT
from vidfer.engine.executors.channel import pickled_function
from vidfer.engine.executors.node import Attempts, Message, Unopened, log_here, work
from vidfer.errors import ClusterError, MissingDependency, VidferError

_PROBE_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 1.0
_STALL_SECONDS = 2.0
_LOOK_AT_CLUSTER_SECONDS = 10.0
_QUEUED_PER_SLOT = 2  # one in work and one that is ready to follow it at once, wherever a slot becomes free


@EXECUTORS.register("ray")
class RayExecutor:
    """Runs each item as a task of Ray; see `vidfer.engine.executors.Executor`.

    Ray places the tasks; the node that gets one watches over it (`vidfer.engine.executors.node`). Ray never retries:
    attempts are counted here, and what was lost with its process or node is tried again elsewhere. Items, events and
    outcomes are small and travel in Ray's messages; nothing is put into its object store.

    Parameters
    ----------
    address
        ``local``: a Ray of our own on this machine, ended with this process. ``HOST:PORT``: the cluster there, of which
        this machine must be a node. ``auto``: the cluster that $RAY_ADDRESS names, else the one that `ray start`
        started on this machine.
    silence_seconds
        A task whose node says nothing for this long, once it has begun, is cancelled by force and counts as crashed.

    Raises
    ------
    MissingDependency
        Ray is not installed.
    """

    def __init__(self, address: str = "local", *, silence_seconds: float = 60.0) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
        if address == "local":  # ours is closed to others, and no file with its token is left behind
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        try:
            import ray
        except ImportError as error:
            raise MissingDependency("ray", needed_for="--engine ray", extra="ray", detail=str(error)) from error
        self.address = address
        self._ray = ray
        self._silence_seconds = silence_seconds
        self._ours = False

    def run(
        self,
        fn: Callable[[ItemT], ValueT],
        items: Iterable[ItemT],
        *,
        resources: Resources,
        timeout: float,
        retries: int,
        on_event: Callable[[ItemT, Any], None] | None = None,
    ) -> Generator[Outcome[ItemT, ValueT], None, None]:
        """Yield one outcome per item as it finishes; ``resources.jobs`` of 0 takes what the cluster has.

        Raises
        ------
        ClusterError
            There is no cluster, or a node cannot start workers.
        """
        return _Run(self, pickled_function(fn), iter(items), resources, timeout, retries, on_event).outcomes()

    def run_on_each_node(self, fn: Callable[[str], ValueT], *, timeout: float) -> dict[str, Outcome[str, ValueT]]:
        """Run ``fn`` with the node's name on every node that has room for work, and return the outcomes by name.

        A node that is lost meanwhile is left out: the cluster may have listed it as alive for some time after its end.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.connect()
        tasks = {}
        for node_id, node in self._living_nodes().items():
            if node["Resources"].get("CPU", 0) > 0:
                name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}:{node['NodeManagerPort']})"
                strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
                task = self.task(Resources(num_cpus=0, jobs=1), scheduling_strategy=strategy)
                tasks[node_id] = name, task.remote(pickle.dumps(fn), pickle.dumps(name), Resources(), timeout)
        outcomes = {node_id: self._only_outcome(name, stream, timeout) for node_id, (name, stream) in tasks.items()}
        living = self._living_nodes()
        return {one.item: one for node_id, one in outcomes.items() if one.status != "crashed" or node_id in living}

    def _living_nodes(self) -> dict[str, Any]:
        return {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}

    def connect(self) -> None:
        """Start or reach Ray, once; raises ClusterError."""
        if self._ray.is_initialized():
            return
        address = find_cluster(self.address)
        if address != "local":
            _probe(address)
        try:
            self._ray.init(address, log_to_driver=False, configure_logging=False, **_quiet(address))
        except Exception as error:
            raise ClusterError(
                f"Ray at {address}: {type(error).__name__}: {' '.join(str(error).split())[:400]}: this machine must be "
                f"a node of the cluster (ray start --address={address} --num-cpus=0), with the same Ray and Python; if "
                f"it has a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or copy its ~/.ray/auth_token"
            ) from error
        self._ours = True

    def close(self) -> None:
        """Leave the cluster; a Ray of our own ends."""
        if self._ours:
            self._ours = False
            self._ray.shutdown()

    def require_room(self, resources: Resources) -> None:
        """Raise ClusterError where no node is large enough for one item: Ray would wait for such a node for ever."""
        self.connect()
        nodes = [node["Resources"] for node in self._living_nodes().values()]
        for node in nodes:
            if node.get("CPU", 0) >= resources.num_cpus and node.get("GPU", 0) >= resources.num_gpus:
                return
        most = {name: max((node.get(name, 0) for node in nodes), default=0) for name in ("CPU", "GPU")}
        raise ClusterError(
            f"no node has the {resources.num_cpus:g} cores and {resources.num_gpus:g} GPUs that one video is to get "
            f"(at most {most['CPU']:g} and {most['GPU']:g}): change [resources.frames], or start larger nodes first"
        )

    def slots(self, resources: Resources) -> int:
        """Return how many items the cluster can work on at once, at least 1 (nodes may be on their way)."""
        cluster = self._ray.cluster_resources()
        wanted = {"CPU": resources.num_cpus, "GPU": resources.num_gpus}
        return max(1, min(int(cluster.get(name, 0) / amount) for name, amount in wanted.items() if amount > 0))

    def task(self, resources: Resources, **options: Any) -> Any:
        """Return the Ray task that works on one item, with what it needs."""
        # max_calls=0: a worker process lives on, with its networks, also where it has used a GPU.
        task = self._ray.remote(max_calls=0, max_retries=0, num_returns="streaming")(_work_on_one)
        return task.options(num_cpus=resources.num_cpus, num_gpus=resources.num_gpus, **options)

    def _only_outcome(self, name: str, stream: Any, timeout: float) -> Outcome[str, Any]:
        deadline = time.monotonic() + timeout
        attempts = Attempts(name, made=1)
        try:
            while time.monotonic() < deadline:
                ready, _ = self._ray.wait([stream], timeout=_LONGEST_WAIT_SECONDS)
                if ready:
                    kind, value = pickle.loads(self._ray.get(next(stream)))
                    if kind == "outcome":
                        return replace(value, item=name)
                    if kind == "unusable":
                        raise ClusterError(value.message)
            raise ClusterError(f"it did not answer within {timeout:g} s")
        except (ClusterError, StopIteration, self._ray.exceptions.RayError) as error:
            self._ray.cancel(stream, force=True)
            outcome = attempts.lost(_in_short(error), retries=0)
            assert outcome is not None
            return outcome


@dataclass(eq=False)
class _Running(Generic[ItemT]):
    attempts: Attempts[ItemT]
    pickled: bytes
    heard: float | None = None  # None while it waits in Ray's queue
    node: str = ""


@dataclass
class _Run(Generic[ItemT, ValueT]):
    executor: RayExecutor
    pickled_fn: bytes
    items: Iterator[ItemT]
    resources: Resources
    timeout: float
    retries: int
    on_event: Callable[[ItemT, Any], None] | None
    running: dict[Any, _Running[ItemT]] = field(default_factory=dict)  # by the stream of its messages
    again: deque[_Running[ItemT]] = field(default_factory=deque)
    done: deque[Outcome[ItemT, ValueT]] = field(default_factory=deque)
    exhausted: bool = False
    has_room: bool = False
    looked: float = float("-inf")
    limit: int = 0

    def outcomes(self) -> Generator[Outcome[ItemT, ValueT], None, None]:
        listened = time.monotonic()
        try:
            while True:
                self._hand_out()
                while self.done:
                    yield self.done.popleft()
                if not self.running and not self.again and self.exhausted:
                    return
                self._listen()
                now = time.monotonic()
                if now - listened > _LONGEST_WAIT_SECONDS + _STALL_SECONDS:  # we were busy or suspended, not they
                    for task in self.running.values():
                        task.heard = task.heard and now
                listened = now
                self._watch(now)
        finally:
            for stream in self.running:
                self._cancel(stream)

    def _hand_out(self) -> None:
        while True:
            task = self.again.popleft() if self.again else None
            if task is None and not self.exhausted and len(self.running) < self._limit():
                task = self._next()
            if task is None:
                return
            task.attempts.made += 1
            task.heard = None
            remote = self.executor.task(self.resources)
            self.running[remote.remote(self.pickled_fn, task.pickled, self._on_node(), self.timeout)] = task

    def _next(self) -> _Running[ItemT] | None:
        for item in self.items:
            if not self.has_room:
                self.executor.require_room(self.resources)
                self.has_room = True
            return _Running(Attempts(item), pickle.dumps(item))
        self.exhausted = True
        return None

    def _limit(self) -> int:
        if self.resources.jobs:
            return self.resources.jobs
        if time.monotonic() - self.looked > _LOOK_AT_CLUSTER_SECONDS:  # nodes come and go
            self.looked = time.monotonic()
            self.executor.connect()
            self.limit = _QUEUED_PER_SLOT * self.executor.slots(self.resources)
        return self.limit

    def _on_node(self) -> Resources:
        return replace(self.resources, jobs=1)

    def _listen(self) -> None:
        """Wait for a message, and take in all that have come."""
        ray = self.executor._ray
        ready, _ = ray.wait(list(self.running), timeout=_LONGEST_WAIT_SECONDS)
        while ready:
            for stream in ready:
                self._take_in(stream)
            streams = list(self.running)
            ready = ray.wait(streams, num_returns=len(streams), timeout=0)[0] if streams else []

    def _take_in(self, stream: Any) -> None:
        ray, task = self.executor._ray, self.running[stream]
        try:
            message: Message = pickle.loads(ray.get(next(stream)))
        except (StopIteration, ray.exceptions.RayError) as error:
            del self.running[stream]
            self._lost(task, f"on {task.node or 'a node'}: {_in_short(error)}")
            return
        task.heard = time.monotonic()
        kind, value = message
        if kind == "node":
            task.node = value
        elif kind == "event" and self.on_event is not None:
            self.on_event(task.attempts.item, value[1])
        elif kind == "log":
            log_here(value)
        elif kind == "unusable":
            raise ClusterError(f"node {task.node}: {value.message}")
        elif kind == "outcome":
            del self.running[stream]
            self._settle(task, task.attempts.verdict(value, retries=self.retries))

    def _watch(self, now: float) -> None:
        for stream, task in list(self.running.items()):
            if task.heard is not None and now - task.heard > self.executor._silence_seconds:
                del self.running[stream]
                self._cancel(stream)
                self._lost(task, f"on {task.node}, which gave no sign of life for {now - task.heard:.0f} s")

    def _cancel(self, stream: Any) -> None:
        """End a task at once: a soft cancel leaves one alive that hangs."""
        with contextlib.suppress(Exception):  # its node may be gone
            self.executor._ray.cancel(stream, force=True)

    def _lost(self, task: _Running[ItemT], reason: str) -> None:
        self._settle(task, task.attempts.lost(reason, retries=self.retries))

    def _settle(self, task: _Running[ItemT], outcome: Outcome[ItemT, Any] | None) -> None:
        if outcome is None:
            self.again.append(task)
        else:
            self.done.append(outcome)


def _work_on_one(pickled_fn: bytes, pickled_item: bytes, resources: Resources, timeout: float) -> Iterator[bytes]:
    """Run one item: the Ray task. What comes back names no item: the driver knows it."""
    messages = work(Unopened(pickled_fn), [Unopened(pickled_item)], resources=resources, timeout=timeout)
    for kind, value in messages:
        if kind == "event":
            value = (None, value[1])
        elif kind == "outcome":
            value = replace(value, item=None)
        yield pickle.dumps((kind, value))


def find_cluster(address: str) -> str:
    """Return ``local`` or the HOST:PORT that an address stands for; raises ClusterError if it stands for nothing."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _cluster_of_this_machine()
    if address == "local":
        return address
    host, colon, port = address.rpartition(":")
    if "://" in address or not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ClusterError(
            f"--address {address}: expected auto or HOST:PORT of the cluster's head (6379 unless it was started with "
            f"another --port); vidfer itself runs on a node of the cluster, not through ray://"
        )
    return address


def _cluster_of_this_machine() -> str:
    """Return the address that the last `ray start` here has written down; it may be out of date."""
    path = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    try:
        return path.read_text().strip()
    except OSError:
        raise ClusterError(
            "--address auto: no Ray cluster was started on this machine: start one (ray start --head), join one "
            "(ray start --address=HOST:6379), or leave --address out to use this machine alone"
        ) from None


def _probe(address: str) -> None:
    """Raise ClusterError unless something listens there: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_SECONDS):
            return
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster at {address} ({error.strerror or error}): check that its head runs (ray status), start it "
            f"(ray start --head), or leave --address out to use this machine alone"
        ) from None


def _quiet(address: str) -> dict[str, Any]:
    return {"include_dashboard": False} if address == "local" else {}


def _in_short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "it ended without an outcome"
    return text if isinstance(error, VidferError) else f"{type(error).__name__}: {text[:300]}"
