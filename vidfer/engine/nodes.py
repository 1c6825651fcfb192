"""What every machine must prove before it works for a run: the same folders, vidfer, weights and decoders."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import vidfer
from vidfer import weights
from vidfer.config import GroupResources, PipelineConfig
from vidfer.engine.clip import ClipJob, process_clip
from vidfer.errors import ClusterError, ConfigError, VidferError
from vidfer.executors import EXECUTORS, ClusterExecutor, Executor, Resources
from vidfer.pipeline import stages_of
from vidfer.pipeline.exported_files import exported_settings
from vidfer.pipeline.provenance import (
    READER_PACKAGES,
    component_digests,
    component_weights,
    package_version,
    runtime_package,
)
from vidfer.registry import unknown_name
from vidfer.store.atomic import write_bytes
from vidfer.store.journal import ClipRecord
from vidfer.store.layout import private_folder

ENGINES = ("local", "ray", "slurm")
_ANSWER_SECONDS = 120.0  # a worker starts, reads the weights and a file; on a busy node this takes a while


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What the driver has, and every node needs.

    Attributes
    ----------
    folder
        In the results folder, holding a file called ``token`` that only this run can have put there.
    token
        Name and content of that file.
    vidfer
        Version.
    decoding
        Name and version of each package that decides frames and results; None for one that is not installed.
    decoders
        Names of the codecs that FFmpeg has.
    weights
        Kind, name, the user's own file and the digests of each component.
    videos
        One video of each file system that they lie on.
    """

    folder: Path
    token: str
    vidfer: str
    decoding: tuple[tuple[str, str | None], ...]
    decoders: frozenset[str]
    weights: tuple[tuple[weights.ComponentKind, str, str, tuple[str, ...]], ...]
    videos: tuple[Path, ...]


def check_engine(name: str, address: str, config: PipelineConfig) -> None:
    """Raise ConfigError for what can be seen to be wrong about the machines that a run asks for."""
    if name not in ENGINES:
        raise ConfigError(unknown_name("engine", name, list(ENGINES)))
    if address and name == "local":
        raise ConfigError(f"--address {address} is of a Ray cluster: give --engine ray, too")
    device = config.run.device
    if name != "local" and device.startswith("cuda") and not config.resources.frames.num_gpus:
        raise ConfigError(
            f"--device {device} with --engine {name}: say how much of a GPU one video gets, e.g. "
            f"--set resources.frames.num_gpus=0.25"
        )
    if name != "local" and ":" in device:
        raise ConfigError(f"--device {device} with --engine {name}: the engine chooses the GPU, give --device cuda")


def open_executor(name: str, address: str, out: Path) -> Executor:
    """Return the executor of that name; raises MissingDependency if its extra is not installed."""
    factory = EXECUTORS.get(name)
    if name == "slurm":
        return factory(address, folder=private_folder(out.absolute()) / "slurm")
    return factory(address) if address else factory()


def resources_of(needs: GroupResources, *, jobs: int) -> Resources:
    """Return what one video of a group gets, and how many (0: as many as there is room for) are in work."""
    return Resources(
        jobs=jobs,
        threads_per_worker=max(1, int(needs.num_cpus)),
        num_cpus=needs.num_cpus,
        num_gpus=needs.num_gpus,
        max_rss_bytes=int(needs.memory_gib * (1 << 30)),
    )


@contextmanager
def required_of_nodes(out: Path, config: PipelineConfig, videos: Sequence[Path]) -> Iterator[Requirements]:
    """Give what nodes must prove, for as long as the run lasts; raises OutputError if ``out`` cannot be written."""
    folder = private_folder(out.absolute()) / "nodes"
    with suppress(OSError):  # of a run that was killed
        for left_over in folder.iterdir():
            left_over.unlink()
    token = secrets.token_hex(16)
    write_bytes(folder / token, token.encode())
    packages = (*READER_PACKAGES.values(), runtime_package(config))  # frames, and so results, are theirs
    try:
        yield Requirements(
            folder=folder,
            token=token,
            vidfer=vidfer.__version__,
            decoding=tuple((package, package_version(package)) for package in packages),
            decoders=_decoders(),
            weights=tuple(_weights(config)),
            videos=tuple({os.stat(path).st_dev: path for path in videos if path.exists()}.values()),
        )
    finally:
        with suppress(OSError):
            (folder / token).unlink()
            folder.rmdir()


def check_nodes(executor: Executor, requirements: Requirements) -> None:
    """Let every node that the executor knows prove itself; raises ClusterError that names those that cannot."""
    if not isinstance(executor, ClusterExecutor):
        return  # its nodes are checked when they start work: OnNode
    outcomes = executor.run_on_each_node(partial(check_node, requirements), timeout=_ANSWER_SECONDS)
    problems = [f"node {name}: {outcome.error.message}" for name, outcome in outcomes.items() if outcome.error]
    if problems:
        raise ClusterError("; ".join(problems))


def check_node(requirements: Requirements, node: str) -> None:
    """Raise ClusterError, without the node's name, if this machine lacks something."""
    _check_software(requirements)
    _check_folder(requirements)
    for video in requirements.videos:
        if not os.access(video, os.R_OK):
            raise ClusterError(f"{video} cannot be read there: mount its folder at the same path on every node")
    for kind, name, own_file, digests in requirements.weights:
        found = _digests_here(kind, name, own_file) if digests else ()
        if found != digests:
            raise ClusterError(
                f"the {kind} {name!r} has other weights there: expected {_short(digests)}, got {_short(found)}: "
                f"copy the file, or put it into a shared folder; install the same packages"
            )


@dataclass(frozen=True)
class OnNode:
    """`process_clip` for machines other than the driver's, each of which is checked before its first clip."""

    requirements: Requirements

    def __call__(self, job: ClipJob) -> ClipRecord:
        _check_once(self.requirements)
        return process_clip(job)


@lru_cache(maxsize=1)
def _check_once(requirements: Requirements) -> None:
    try:
        check_node(requirements, "")
    except ClusterError as error:
        raise ClusterError(f"node {socket.gethostname()}: {error}") from error


def _check_software(requirements: Requirements) -> None:
    if vidfer.__version__ != requirements.vidfer:
        raise ClusterError(
            f"vidfer {vidfer.__version__} is installed there, and {requirements.vidfer} here: install the same version"
        )
    for package, expected in requirements.decoding:
        found = package_version(package)
        if expected != found:
            what = f"pip install {package}=={expected}" if expected else f"pip uninstall {package}"
            raise ClusterError(
                f"{package} {found or 'is not installed'} there, and {expected or 'not installed'} here: results would "
                f"depend on the machine: {what}"
            )
    missing = requirements.decoders - _decoders()
    if missing:
        raise ClusterError(
            f"its FFmpeg lacks {', '.join(sorted(missing)[:8])}: install the same build of PyAV (pip install av)"
        )


def _check_folder(requirements: Requirements) -> None:
    remedy = "mount the results folder at the same path on every node, for reading and writing"
    path = requirements.folder / requirements.token
    try:
        if path.read_text() != requirements.token:
            raise ClusterError(f"{path} holds something else there: {remedy}")
    except OSError as error:
        raise ClusterError(f"{path} cannot be read there ({error.strerror}): {remedy}") from error
    proof = requirements.folder / f"{requirements.token}.{socket.gethostname()}.{os.getpid()}"
    try:
        proof.write_text(requirements.token)
        proof.unlink()
    except OSError as error:
        raise ClusterError(f"{requirements.folder} cannot be written there ({error.strerror}): {remedy}") from error


def _weights(config: PipelineConfig) -> Iterator[tuple[weights.ComponentKind, str, str, tuple[str, ...]]]:
    for stage in stages_of(config):
        section = getattr(exported_settings(config), stage.section)
        own_files = [getattr(section, file_key) for _, _, file_key in stage.components]
        for (kind, name, digests), own_file in zip(component_weights(stage, config), own_files, strict=True):
            yield kind, name, own_file, digests


def _digests_here(kind: weights.ComponentKind, name: str, own_file: str) -> tuple[str, ...]:
    try:
        if own_file or weights.files_of(kind, name):
            weights.locate(kind, name, own_file)  # reads them through: what is damaged raises
        return component_digests(kind, name, own_file)
    except VidferError as error:
        raise ClusterError(str(error)) from error


def _decoders() -> frozenset[str]:
    import av

    return frozenset(av.codecs_available)


def _short(digests: Sequence[str]) -> str:
    return " ".join(digest[:12] for digest in digests) or "none"
