"""Ray Core: the same work on the machines of a cluster, or on all GPUs of this one. One Ray task per item."""

from __future__ import annotations

import contextlib
import os
import pickle
import secrets
import socket
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidfer.errors import ClusterError, MissingDependency, VidferError
from vidfer.executors import EXECUTORS, ItemT, Outcome, Resources, TaskError, ValueT
from vidfer.executors.channel import pickled_function
from vidfer.executors.driver import LISTEN_SECONDS, SubmissionLost, drive
from vidfer.executors.node import Message, work

_PROBE_SECONDS = 5.0
_ASK_CLUSTER_SECONDS = 10.0
_QUEUED_PER_SLOT = 2  # one in work and one that is ready to follow it at once, wherever a slot becomes free


@EXECUTORS.register("ray")
class RayExecutor:
    """Runs each item as a task of Ray; see `vidfer.executors.Executor`.

    Ray places the tasks; the node that gets one watches over it (`vidfer.executors.node`). Ray never retries:
    attempts are counted by the driver, and what was lost with its process or node is tried again elsewhere. Items,
    events and outcomes are small and travel in Ray's messages; nothing is put into its object store.

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
            os.environ.setdefault("PYTHONSAFEPATH", "1")  # for the processes that Ray starts here
        try:
            import ray
        except ImportError as error:
            raise MissingDependency("ray", needed_for="--engine ray", extra="ray", detail=str(error)) from error
        self.address = address
        self.ray = ray
        self.silence_seconds = silence_seconds
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
        tasks = _Tasks(self, pickled_function(fn), resources, timeout)
        return drive(tasks, items, retries=retries, on_event=on_event)

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
                task = self.task(Resources(num_cpus=0), scheduling_strategy=strategy)
                tasks[node_id] = name, task.remote(pickle.dumps(fn), [pickle.dumps(name)], Resources(), timeout)
        outcomes = {node_id: self._only_outcome(name, stream, timeout) for node_id, (name, stream) in tasks.items()}
        living = self._living_nodes()
        return {one.item: one for node_id, one in outcomes.items() if one.status != "crashed" or node_id in living}

    def _living_nodes(self) -> dict[str, Any]:
        return {node["NodeID"]: node for node in self.ray.nodes() if node["Alive"]}

    def connect(self) -> None:
        """Start or reach Ray, once; raises ClusterError."""
        if self.ray.is_initialized():
            return
        address = find_cluster(self.address)
        if address != "local":
            _probe(address)
        try:
            config = _job_config(self.ray)
            self.ray.init(address, log_to_driver=False, configure_logging=False, job_config=config, **_quiet(address))
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
            self.ray.shutdown()

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
        cluster = self.ray.cluster_resources()
        wanted = {"CPU": resources.num_cpus, "GPU": resources.num_gpus}
        return max(1, min(int(cluster.get(name, 0) / amount) for name, amount in wanted.items() if amount > 0))

    def task(self, resources: Resources, **options: Any) -> Any:
        """Return the Ray task that works on one item, with what it needs."""
        # max_calls=0: a worker process lives on, with its networks, also where it has used a GPU.
        task = self.ray.remote(max_calls=0, max_retries=0, num_returns="streaming")(_work)
        return task.options(num_cpus=resources.num_cpus, num_gpus=resources.num_gpus, **options)

    def _only_outcome(self, name: str, stream: Any, timeout: float) -> Outcome[str, Any]:
        deadline = time.monotonic() + timeout
        try:
            while time.monotonic() < deadline:
                ready, _ = self.ray.wait([stream], timeout=LISTEN_SECONDS)
                if ready:
                    kind, _, value = pickle.loads(self.ray.get(next(stream)))
                    if kind == "outcome":
                        return replace(value, item=name)
                    if kind == "unusable":
                        raise ClusterError(value.message)
            raise ClusterError(f"it did not answer within {timeout:g} s")
        except (ClusterError, StopIteration, self.ray.exceptions.RayError) as error:
            self.ray.cancel(stream, force=True)
            lost = TaskError(kind="WorkerCrash", message=f"the worker process was lost: {_in_short(error)}")
            return Outcome(item=name, status="crashed", value=None, error=lost, attempts=1)


class _Tasks:
    """The tasks of one run: an `vidfer.executors.driver.Engine` whose handles are streams of messages."""

    items_per_submission = 1

    def __init__(self, executor: RayExecutor, pickled_fn: bytes, resources: Resources, timeout: float) -> None:
        self.executor, self.ray, self.silence_seconds = executor, executor.ray, executor.silence_seconds
        self.pickled_fn, self.resources, self.timeout = pickled_fn, resources, timeout
        self.task: Any = None  # made when there is something to do: only then need there be a cluster
        self.slots = 0
        self.asked = float("-inf")

    def room(self) -> int:
        if self.resources.jobs:
            return self.resources.jobs
        if time.monotonic() - self.asked > _ASK_CLUSTER_SECONDS:  # nodes come and go
            self.asked = time.monotonic()
            self.slots = self.executor.slots(self.resources)
        return _QUEUED_PER_SLOT * self.slots

    def submit(self, pickled_items: Sequence[bytes]) -> Any:
        if self.task is None:
            self.executor.require_room(self.resources)
            self.task = self.executor.task(self.resources)
        return self.task.remote(self.pickled_fn, pickled_items, self.resources, self.timeout)

    def listen(self, handles: Sequence[Any]) -> Iterator[tuple[Any, Message | SubmissionLost]]:
        streams = list(handles)
        ready, _ = self.ray.wait(streams, timeout=LISTEN_SECONDS)
        while ready:
            for stream in ready:
                try:
                    message: Message = pickle.loads(self.ray.get(next(stream)))
                except (StopIteration, self.ray.exceptions.RayError) as error:
                    streams.remove(stream)
                    yield stream, SubmissionLost(_in_short(error))
                else:
                    if message[0] == "outcome":
                        streams.remove(stream)
                    yield stream, message
            ready = self.ray.wait(streams, num_returns=len(streams), timeout=0)[0] if streams else []

    def cancel(self, handle: Any) -> None:
        with contextlib.suppress(Exception):  # a soft cancel would leave a task alive that hangs
            self.ray.cancel(handle, force=True)


def _work(pickled_fn: bytes, pickled_items: list[bytes], resources: Resources, timeout: float) -> Iterator[bytes]:
    """Work on some items: the Ray task."""
    for message in work(pickled_fn, pickled_items, resources=resources, timeout=timeout):
        yield pickle.dumps(message)


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


def _job_config(ray: Any) -> Any:
    """Return a job's settings by which its workers do not look for modules in the driver's current folder.

    Ray has no public switch for that but shipping a folder. Like `vidfer.module_path`, it is of use where PYTHONPATH
    and what is installed on a node is all that it needs.
    """
    return ray.job_config.JobConfig(_client_job=True)


def _in_short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "it ended without an outcome"
    return text if isinstance(error, VidferError) else f"{type(error).__name__}: {text[:300]}"
