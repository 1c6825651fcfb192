"""``vidfer live``: expressions from a camera, a network stream, a screen, a file or a pipe, as they come."""

from __future__ import annotations

import argparse
import json
import logging
import math
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidfer.commands import EXIT_OK
from vidfer.commands.exports import check_exports, named_exports
from vidfer.config import PipelineConfig, load_pipeline
from vidfer.errors import ConfigError, VidferError
from vidfer.exporters import needs_video
from vidfer.store.layout import RESERVED, private_folder, stays_inside
from vidfer.video.live_source import LiveSource, RawFormat

if TYPE_CHECKING:
    from vidfer.live.feed import Feed, Policy, Shot
    from vidfer.live.recording import Recording
    from vidfer.pipeline.stream import LiveFrame, Stream

    Listener = Callable[[LiveFrame, str, Shot], None]  # is given the line, too

MOST_LATENCIES = 10_000  # kept for the closing line


def run(options: argparse.Namespace) -> int:
    """Look at a source until it ends, Ctrl-C comes or nobody listens; see ``vidfer live --help``."""
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="vidfer: %(message)s")
    config = _config(options)
    source = LiveSource(
        name=options.source,
        raw=_raw_format(options),
        rotation=0 if config.video.rotation == "auto" else config.video.rotation,
        open_timeout_seconds=config.live.open_timeout_seconds,
        read_timeout_seconds=config.live.read_timeout_seconds,
    )
    if options.record and not options.out:
        raise ConfigError("--record: expected --out DIR, where the video is to be kept")
    with ExitStack() as stack:
        _follow(options, config, source, _listeners(options, stack), stack)
    return EXIT_OK


def _follow(
    options: argparse.Namespace,
    config: PipelineConfig,
    source: LiveSource,
    listeners: list[Listener],
    stack: ExitStack,
) -> None:
    from vidfer.device import leave_a_core
    from vidfer.executors import available_cpus
    from vidfer.live.feed import Feed
    from vidfer.pipeline.pipeline import Pipeline

    pipeline = Pipeline(config)
    leave_a_core(pipeline.device, available_cpus())
    policy: Policy = options.policy or ("all" if source.kind in ("file", "pipe") else "latest")
    recording = _recording(options, config, stack) if options.out else None
    stream = stack.enter_context(pipeline.stream())
    feed = Feed(source, policy=policy, longest_delay_seconds=config.live.longest_delay_seconds)
    stack.enter_context(_stopped_by_signals(feed))
    stack.enter_context(feed)
    latencies = deque[float](maxlen=MOST_LATENCIES)
    try:
        _look(feed, stream, recording, listeners, latencies, options)
    finally:  # also what came before an error is kept whole
        folder = recording.finish() if recording else None
    if not options.quiet:
        waited = [] if source.kind == "file" and policy == "all" else list(latencies)  # a file waits for us
        print(_closing_line(stream, feed, waited, folder), file=sys.stderr)


def _look(
    feed: Feed,
    stream: Stream,
    recording: Recording | None,
    listeners: list[Listener],
    latencies: deque[float],
    options: argparse.Namespace,
) -> None:
    from vidfer.live.lines import json_line

    started = time.monotonic()
    for shot in feed:
        frame = stream.process(shot.picture, shot.seconds)
        if frame is not None:
            latencies.append(time.perf_counter() - shot.arrived)
            line = json_line(frame, latency_seconds=latencies[-1])
            if not options.quiet:
                print(line, flush=True)
            for listener in listeners:
                listener(frame, line, shot)
            if recording is not None:
                recording.add(frame, shot.picture, codec=feed.codec)
        nobody_listens = _stdout_is_lost() and recording is None and not listeners
        if nobody_listens or (options.seconds and time.monotonic() - started >= options.seconds):
            return


def _listeners(options: argparse.Namespace, stack: ExitStack) -> list[Listener]:
    """Return who else is told of each frame; none of them ever waits for who listens to it."""
    listeners: list[Listener] = []
    if options.websocket is not None:
        from vidfer.live.broadcast import Broadcast

        broadcast = stack.enter_context(Broadcast(options.websocket))
        if not options.quiet:
            print(f"vidfer: picture and chart at {broadcast.url}", file=sys.stderr, flush=True)
        listeners.append(lambda frame, line, shot: broadcast.send(line, shot.picture))
    if options.lsl is not None:
        from vidfer.live.lsl import LslStream

        lsl = LslStream(options.lsl)
        listeners.append(lambda frame, line, shot: lsl.send(frame, shot.arrived))
    if options.osc is not None:
        from vidfer.live.osc import OscSender

        osc = stack.enter_context(closing(OscSender(options.osc)))
        listeners.append(lambda frame, line, shot: osc.send(frame))
    return listeners


def _config(options: argparse.Namespace) -> PipelineConfig:
    flags = [f"run.device={options.device}"] if options.device else []
    if options.seconds is not None and not 0 < options.seconds < math.inf:
        raise ConfigError(f"--seconds: expected more than 0, got {options.seconds:g}")
    named = named_exports(options)
    if named and not options.out:
        raise ConfigError("--export: expected --out DIR, where files are to be written")
    exports = [f"output.exports={json.dumps(named)}"] if named else []
    config = load_pipeline(options.pipeline, [*options.set, *flags, *exports])
    check_exports(config.output.exports)
    of_video = [name for name in config.output.exports if needs_video(name)]
    if of_video and options.out and not options.record:
        raise ConfigError(f"the export {of_video[0]} is made from the video: expected --record, which keeps it")
    return config


def _raw_format(options: argparse.Namespace) -> RawFormat | None:
    if not options.size:
        if options.fps or options.pixel_format:
            raise ConfigError("--fps and --pixel-format describe raw frames: give their --size, e.g. 640x480, too")
        return None
    if options.source != "-":
        raise ConfigError(f"--size: expected - as the source, raw frames on standard input, got {options.source}")
    width, _, height = options.size.partition("x")
    fps = 30.0 if options.fps is None else options.fps
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height) and 0 < fps <= 1000):
        raise ConfigError(f"--size, --fps: expected e.g. 640x480 and 30, got {options.size} and {fps:g}")
    return RawFormat(width=int(width), height=int(height), fps=fps, pixel_format=options.pixel_format or "rgb24")


def _recording(options: argparse.Namespace, config: PipelineConfig, stack: ExitStack) -> Recording:
    """Lock the results folder, finish what was cut off there, and begin a recording."""
    from vidfer.live.recording import Recording, finish, unfinished
    from vidfer.store.lock import RunLock

    out = Path(options.out)
    name = options.name or datetime.now().strftime("live-%Y%m%d-%H%M%S")
    if "/" in name or name.startswith(".") or name.casefold() in RESERVED or not stays_inside(name):
        raise ConfigError(f"--name: expected the name of a folder below --out, got {name!r}")
    stack.enter_context(RunLock(private_folder(out)))
    for left in unfinished(out):
        try:
            print(f"vidfer: {finish(out, left)}: was cut off; its files are written now", file=sys.stderr)
        except VidferError as error:
            print(f"vidfer: {error}", file=sys.stderr)
    return Recording(out, name, config, keep_video=options.record)


@contextmanager
def _stopped_by_signals(feed: Feed) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the feed, so that files are closed whole; a second one ends the process."""
    before: dict[int, Any] = {}

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, before[number])
        feed.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)


def _stdout_is_lost() -> bool:
    """Return whether standard output cannot be written any more, see ``standard_streams``."""
    descriptor = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return getattr(descriptor, "error", None) is not None


def _closing_line(stream: Stream, feed: Feed, latencies: list[float], folder: Path | None) -> str:
    said = [f"{stream.num_frames} frames looked at", f"{feed.num_passed_over} passed over", f"{stream.num_late} late"]
    if feed.num_lost:
        said.append(f"connection lost {feed.num_lost} times")
    if latencies:
        ordered = sorted(latencies)
        middle, most = (1000 * ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95))
        said.append(f"latency {middle:.0f} ms (median), {most:.0f} ms (95 %)")
    return f"vidfer: {', '.join(said)}" + (f"\nresults: {folder}" if folder else "")
