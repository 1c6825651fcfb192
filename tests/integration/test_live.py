"""``vidfer live`` in real processes: files, pipes, network streams, and every way in which it may end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fixtures.commands import TIMEOUT_SECONDS, VIDFER, ended_in_time, read_csv, vidfer
from fixtures.live_receivers import check_lsl, osc_server, receiving
from fixtures.measuring import heed_interrupts
from fixtures.stream_servers import MjpegServer, free_port, mute_server

import vidfer as package
from vidfer.labels import EMOTIONS

LINK = ("--set", "people.link=true")


@contextmanager
def live(*arguments: str | Path, stdin: Any = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """Start ``vidfer live``; what still runs is killed in the end."""
    process = subprocess.Popen(
        [*VIDFER, "live", *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    with ended_in_time(process, TIMEOUT_SECONDS):
        yield process


def next_lines(process: subprocess.Popen[str], count: int) -> list[dict[str, Any]]:
    """Return the next lines that it prints, parsed."""
    assert process.stdout is not None
    lines = []
    for _ in range(count):
        text = process.stdout.readline()
        assert text, process.stderr.read() if process.stderr else ""
        lines.append(json.loads(text))
    return lines


@pytest.fixture(scope="module")
def followed(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    """The lines of the whole sample, and the results folder."""
    out = tmp_path_factory.mktemp("live")
    done = vidfer("live", sample_video, "--out", out, "--name", "a", "--record", *LINK)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], out


def test_each_frame_is_a_line_that_names_its_faces(followed) -> None:
    lines, _ = followed
    assert [line["frame"] for line in lines] == list(range(1, 201))
    assert np.all(np.diff([line["timestamp"] for line in lines]) > 0)
    faces = [face for line in lines for face in line["faces"]]
    assert {face["face_id"] for face in faces} == {0, 1}
    assert all(face["x"] >= 0 and face["width"] > 20 for face in faces)
    assert {face["emotion"] for face in faces} >= {"neutral", "happiness"}


def test_what_is_kept_is_what_was_printed(followed) -> None:
    lines, out = followed
    rows = [row for row in read_csv(out / "a" / "timeline.csv") if row["success"] == "1"]
    printed = [(line, face) for line in lines for face in line["faces"]]
    assert len(rows) == len(printed)
    for row, (line, face) in zip(rows, printed, strict=True):
        assert (int(row["frame"]), int(row["face_id"]), row["emotion"]) == (
            line["frame"],
            face["face_id"],
            face["emotion"],
        )
        for name in ("x", "width", "yaw", "quality", "happiness", "fear"):
            assert float(row[name]) == pytest.approx(face[name], abs=1e-6)


def test_whose_a_face_is_holds_for_the_whole_track_in_what_is_kept(followed) -> None:
    lines, out = followed
    rows = [row for row in read_csv(out / "a" / "timeline.csv") if row["success"] == "1"]
    printed = [(face["face_id"], face["person_id"]) for line in lines for face in line["faces"]]
    told = dict(pair for pair in printed if pair[1] >= 0)
    assert 0 < sum(person < 0 for _, person in printed) <= 20, "the first frames of each track"
    assert len(set(told.values())) == 2
    assert [int(row["person_id"]) for row in rows] == [told[face] for face, _ in printed]
    assert not any("identity" in path.name for path in out.rglob("*")), "no vectors by which faces are compared"


def test_files_are_those_of_process(followed, sample_video: Path, tmp_path: Path) -> None:
    _, out = followed
    assert vidfer("process", sample_video, "--out", tmp_path, "--pipeline", "live", *LINK).returncode == 0
    kept, processed = ({path.name for path in folder.iterdir()} for folder in (out / "a", tmp_path / "sample"))
    assert kept == processed | {"recording.mkv"}
    ours, theirs = package.load_timeline(out / "a"), package.load_timeline(tmp_path / "sample")
    assert list(ours.columns) == list(theirs.columns)
    assert ours["frame"].nunique() == theirs["frame"].nunique() == 200
    both = ours.merge(theirs, on=["frame", "face_id"], suffixes=("", "_offline")).query("success == 1")
    assert len(both) > 100
    theirs_said = both[[f"{name}_offline" for name in EMOTIONS]].to_numpy()
    apart = np.abs(both[list(EMOTIONS)].to_numpy() - theirs_said)
    assert apart.mean() < 0.01, "the same causal network on the same faces"
    assert apart.max() < 0.1
    decided = np.diff(np.sort(theirs_said, axis=1)[:, -2:])[:, 0] > 0.1  # elsewhere two classes are as likely
    assert decided.mean() > 0.8
    assert (both["emotion"] == both["emotion_offline"])[decided].all()
    assert not (out / ".vidfer" / "live" / "a").exists()


def test_the_recorded_video_can_be_processed(followed, tmp_path: Path) -> None:
    lines, out = followed
    with av.open(str(out / "a" / "recording.mkv")) as video:
        times = [frame.time for frame in video.decode(video=0)]
    assert np.allclose(times, [line["timestamp"] for line in lines], atol=1e-3)
    assert vidfer("process", out / "a" / "recording.mkv", "--out", tmp_path, "--export", "csv").returncode == 0
    assert {row["face_id"] for row in read_csv(tmp_path / "recording" / "timeline.csv")} >= {"0", "1"}


@pytest.mark.parametrize(("number", "is_lost"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_ctrl_c_closes_files_whole(sample_video: Path, tmp_path: Path, number: signal.Signals, is_lost: bool) -> None:
    """Also where the camera is lost, and waited for."""
    with ExitStack() as stack:
        server = stack.enter_context(MjpegServer(free_port(), first_pictures(sample_video)))
        kept = ("--out", tmp_path, "--name", "a", "--record")
        process = stack.enter_context(live(server.url.replace("://", "://user:secret@"), *kept))
        lines = next_lines(process, 5)
        said = ""
        if is_lost:
            server.__exit__()
            assert process.stderr is not None
            said = process.stderr.readline()
        process.send_signal(number)
        printed, rest = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, rest
    assert ("trying again in 0.5 s" in said) == ("connection lost" in rest) == is_lost
    assert "secret" not in said + rest
    lines += [json.loads(line) for line in printed.splitlines()]
    assert package.load_timeline(tmp_path / "a")["frame"].nunique() == len(lines)
    with av.open(str(tmp_path / "a" / "recording.mkv")) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(lines)
    assert (tmp_path / "a" / "report.html").is_file()


def first_pictures(video: Path) -> list[np.ndarray]:
    with av.open(str(video)) as opened:
        return [frame.to_ndarray(format="rgb24") for _, frame in zip(range(10), opened.decode(video=0), strict=False)]


def test_a_kill_loses_the_last_second_at_most(sample_video: Path, tmp_path: Path) -> None:
    with live(sample_video, "--out", tmp_path, "--name", "a", "--record") as process:
        seen = [(time.monotonic(), line) for _ in range(80) for line in next_lines(process, 1)]
        process.kill()
        process.wait()
        killed = time.monotonic()
    rows = (tmp_path / "a" / "timeline.csv").read_bytes()
    kept = {int(row["frame"]) for row in read_csv(tmp_path / "a" / "timeline.csv")}
    older = {line["frame"] for when, line in seen if killed - when > 1.0}
    assert older
    assert older <= kept
    with av.open(str(tmp_path / "a" / "recording.mkv")) as video:
        assert sum(1 for _ in video.decode(video=0)) >= len(older)

    done = vidfer("live", sample_video, "--out", tmp_path, "--name", "b", "--seconds", "0.1", "--export", "csv")
    assert done.returncode == 0, done.stderr
    assert "was cut off" in done.stderr
    whole = (tmp_path / "a" / "timeline.csv").read_bytes()
    assert whole.startswith(rows)
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["sampled_frames"] >= len(kept)
    assert not list((tmp_path / ".vidfer" / "live").iterdir())


def test_raw_frames_on_standard_input(sample_video: Path, followed) -> None:
    with av.open(str(sample_video)) as video:
        shown = [frame.to_ndarray(format="bgr24") for _, frame in zip(range(30), video.decode(video=0), strict=False)]
    height, width = shown[0].shape[:2]
    done = subprocess.run(
        [*VIDFER, "live", "-", "--size", f"{width}x{height}", "--fps", "25", "--pixel-format", "bgr24"],
        input=b"".join(frame.tobytes() for frame in shown),
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["timestamp"] for line in lines] == pytest.approx([k / 25 for k in range(30)])
    for ours, theirs in zip(lines, followed[0], strict=False):
        assert [face["face_id"] for face in ours["faces"]] == [face["face_id"] for face in theirs["faces"]]
        for a, b in zip(ours["faces"], theirs["faces"], strict=True):
            assert a["x"] == pytest.approx(b["x"], abs=1.0)


def test_the_latest_frame_is_looked_at_and_older_ones_are_passed_over(sample_video: Path) -> None:
    done = vidfer("live", sample_video, "--policy", "latest")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert 10 < len(lines) <= 200
    passed_over = int(done.stderr.split(" passed over")[0].rsplit(" ", 1)[-1])
    assert len(lines) + passed_over == 200


def test_it_ends_when_nobody_listens(sample_video: Path) -> None:
    with live(sample_video, "--policy", "latest") as process:
        next_lines(process, 1)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        assert process.wait(timeout=TIMEOUT_SECONDS) == 128 + signal.SIGPIPE


def test_lines_are_sent_over_websocket_too(sample_video: Path) -> None:
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    with ExitStack() as stack:
        server = stack.enter_context(MjpegServer(free_port(), first_pictures(sample_video)))
        process = stack.enter_context(live(server.url, "--websocket", "0"))
        assert process.stderr is not None
        said = process.stderr.readline()
        with client.connect(said.split()[-1].replace("http:", "ws:"), open_timeout=TIMEOUT_SECONDS) as listening:
            sent = json.loads(listening.recv(timeout=TIMEOUT_SECONDS))
            process.send_signal(signal.SIGINT)
            printed, rest = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, rest
    assert sent in [json.loads(line) for line in printed.splitlines()]


def test_faces_are_sent_over_lsl_and_osc_too_and_who_goes_holds_up_nobody(sample_video: Path) -> None:
    check_lsl()
    name = f"vidfer live {os.getpid()}"
    with ExitStack() as stack:
        server = stack.enter_context(MjpegServer(free_port(), first_pictures(sample_video)))
        with osc_server() as (address, came), receiving(name, 5) as receiver:
            process = stack.enter_context(live(server.url, "--lsl", name, "--osc", address))
            assert receiver.stdout is not None
            receiver.stdout.readline()
            samples = [json.loads(receiver.stdout.readline())[0] for _ in range(5)]
            messages = [came.get(timeout=TIMEOUT_SECONDS) for _ in range(15)]
        lines = next_lines(process, 50)  # it goes on when both are gone
        process.send_signal(signal.SIGINT)
        printed, rest = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, rest
    faces = [face for line in lines + [json.loads(text) for text in printed.splitlines()] for face in line["faces"]]
    shares = [[face["face_id"], *(face[emotion] for emotion in EMOTIONS)] for face in faces]
    of_lsl = [sample for sample in samples if sample[0] >= 0]
    of_osc = [[message[1], *message[7:]] for message in messages if message[0] == "/vidfer/face"]
    assert of_lsl
    assert of_osc
    for sent in of_lsl + of_osc:
        assert np.abs(np.array(shares) - sent).max(1).min() < 1e-5, "what is sent is what is printed"


def test_ctrl_c_ends_it_while_it_connects() -> None:
    with mute_server() as server:
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/x"
        with live(url, "--set", f"live.open_timeout_seconds={10 * TIMEOUT_SECONDS}") as process:
            connected, _ = server.accept()
            with connected:
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=TIMEOUT_SECONDS) == 0


def test_a_sender_that_stops_within_a_frame_is_the_end(tmp_path: Path) -> None:
    frame = bytes(160 * 120 * 3)
    done = subprocess.run(
        [*VIDFER, "live", "-", "--size", "160x120", "--fps", "25"], input=frame * 5 + frame[:1000], capture_output=True,
        timeout=TIMEOUT_SECONDS, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5
    assert b"5 frames looked at" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.mp4"], "gone.mp4: no such file"),
        (["rtsp://user:secret@127.0.0.1:9/x"], "rtsp://127.0.0.1:9/x: cannot be opened: connection refused"),
        (["/dev/video97"], "/dev/video97: cannot be opened"),
        (["-", "--size", "640"], "expected e.g. 640x480"),
        (["a.mp4", "--size", "640x480"], "expected - as the source"),
        (["a.mp4", "--record"], "--record: expected --out"),
        (["a.mp4", "--osc", "9000"], "expected HOST:PORT"),
        (["a.mp4", "--seconds", "nan"], "--seconds: expected more than 0, got nan"),
        (
            ["a.mp4", "--out", "x", "--export", "csv,overlay"],
            "the export overlay is made from the video: expected --record",
        ),
        (["a.mp4", "--out", "x", "--export", "csv,blinks"], "vidfer: the export blinks needs movements.enabled=true"),
        (["a.mp4", "--pipeline", "default"], "causal"),
        (["a.mp4", "--set", "people.link=true", "--set", "people.keep_vectors=true"], "people.keep_vectors"),
        (["a.mp4", "--out", "x", "--name", "../y"], "--name"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*VIDFER, "live", *arguments], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, cwd=tmp_path,
        env=os.environ, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr
