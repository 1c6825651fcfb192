"""``vidfer serve`` in a real process: jobs, whatever clients send and however the process ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import av
import pytest
from fixtures.commands import TIMEOUT_SECONDS, vidfer
from fixtures.fuzz_trials import short_clip
from fixtures.mounts import small_disk
from fixtures.service import Service, serving

ROOT = Path(__file__).parents[2]
SABOTAGE = ROOT / "tests" / "fixtures" / "sabotage"
# Little is computed: what a job is worth is tested elsewhere.
QUICK = ("--set", "video.fps=5", "--set", "output.exports=['csv', 'summary', 'report']")
TOKEN = "a-token-that-is-long-enough"


@pytest.fixture(scope="module")
def root(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos that clients may name, and a folder beside them that is none of theirs."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "root" / "talks").mkdir(parents=True)
    short_clip(sample_video, folder / "root" / "talks" / "anna_schmidt.mp4")
    short_clip(sample_video, folder / "outside.mp4")
    (folder / "root" / "leads_out.mp4").symlink_to(folder / "outside.mp4")
    (folder / "root" / "leads_in.mp4").symlink_to("talks/anna_schmidt.mp4")
    return folder / "root"


@pytest.fixture(scope="module")
def clip(root: Path) -> Path:
    return root / "talks" / "anna_schmidt.mp4"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def service(root: Path, out: Path) -> Iterator[Service]:
    limits = ("--set", "serve.max_video_seconds=5", "--set", "serve.max_upload_mib=1", "--set", "serve.idle_seconds=1")
    with serving(out, "--root", root, *QUICK, *limits) as running:
        yield running
        assert "Traceback" not in running.log()


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_video_becomes_what_process_makes_of_it_and_nothing_else_is_kept(
    service: Service, clip: Path, out: Path, tmp_path: Path
) -> None:
    job_id = service.send(clip, "anna%20schmidt.mp4")
    told = list(service.events(job_id))
    assert told[-1]["state"] == "done", told[-1]
    assert told[-1]["name"] == "anna schmidt.mp4"
    assert told[-1]["frames_done"] == told[-1]["frames_total"] == 4
    assert told[-1]["files"] == ["clip/report.html", "clip/summary.json", "clip/timeline.csv"]
    assert vidfer("process", clip, "--out", tmp_path, *QUICK).returncode == 0
    by_hand = tmp_path / "anna_schmidt"
    timeline = service.ask("GET", f"/jobs/{job_id}/timeline.csv")
    assert timeline.headers["content-type"].startswith("text/csv")
    assert timeline.body == (by_hand / "timeline.csv").read_bytes()
    figures = ("fingerprint", "emotions", "num_faces", "frames_with_face", "duration_seconds")
    summary, expected = (
        service.ask("GET", f"/jobs/{job_id}/summary").json,
        json.loads((by_hand / "summary.json").read_text()),
    )
    assert [summary[name] for name in figures] == [expected[name] for name in figures]
    report = service.ask("GET", f"/jobs/{job_id}/results/clip/report.html")
    assert b"../assets/plotly.min.js" in report.body
    assert b"schmidt" not in report.body
    assert len(service.ask("GET", f"/jobs/{job_id}/results/assets/plotly.min.js").body) > 1e6
    kept = files_below(out / job_id)
    assert "job.json" in kept
    assert not [name for name in kept if ".vidfer" in name or name.startswith("video")], "video and cache are gone"
    assert service.ask("GET", f"/jobs/{job_id}/video").status == 404
    assert service.ask("DELETE", f"/jobs/{job_id}").status == 204
    assert not (out / job_id).exists()
    for method, path in (("GET", ""), ("GET", "/summary"), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")):
        assert service.ask(method, f"/jobs/{job_id}{path}").status == 404
    assert not files_below(out / ".vidfer" / "aside")


def test_a_video_below_the_root_is_named_and_left_alone(service: Service, clip: Path) -> None:
    for path in ("talks/anna_schmidt.mp4", "leads_in.mp4"):
        answer = service.ask("POST", "/jobs/from-root", {"path": path})
        assert answer.status == 202
        assert service.end_of(answer.json["id"])["state"] == "done"
        assert clip.is_file()


@pytest.mark.parametrize(
    "path",
    [
        "../outside.mp4",
        "leads_out.mp4",
        "talks/../../outside.mp4",
        "/etc/passwd",
        "talks",
        "",
        "a\0b",
        "x" * 4000,
        "no.mp4",
    ],
)
def test_no_path_leads_out_of_the_root(service: Service, root: Path, path: str) -> None:
    answer = service.ask("POST", "/jobs/from-root", {"path": path})
    assert (answer.status, answer.json) == (404, {"detail": "there is no such video below the root"})
    outside = service.ask("POST", "/jobs/from-root", {"path": str(root.parent / "outside.mp4")})
    assert outside.status == 404


@pytest.mark.parametrize(
    "name", ["../job.json", "clip/../../job.json", ".vidfer/clips.jsonl", "run.json", "%2e%2e/job.json", "clip"]
)
def test_no_address_leads_out_of_the_results(service: Service, clip: Path, name: str) -> None:
    job_id = service.send(clip)
    service.end_of(job_id)
    assert service.ask("GET", f"/jobs/{job_id}/results/{name}").status == 404


def test_bad_videos_fail_with_a_reason_and_hurt_nobody(service: Service, clip: Path, sample_video: Path) -> None:
    """Also a list that leads FFmpeg to other files, and one that is too long."""
    bad = {
        "unreadable": os.urandom(5000),
        "list": b"ffconcat version 1.0\nfile video\n" + b"file job.json\n" * 9,
        "too long": sample_video.read_bytes(),
        "cut": clip.read_bytes()[:200],
    }
    ids = {what: service.send(data) for what, data in bad.items()}
    good = service.send(clip)
    errors = {what: service.end_of(job_id)["error"] for what, job_id in ids.items()}
    assert errors["unreadable"]["reason"] == "unreadable"
    assert errors["list"] == {
        "reason": "unreadable",
        "message": "this is a list of other files, not a video: give those",
    }
    assert errors["too long"]["reason"] == "too_long"
    assert "lasts 8 s: at most 5 s" in errors["too long"]["message"]
    assert errors["cut"]["reason"] == "unreadable"
    assert not any(str(Path("/")) + "tmp" in error["message"] for error in errors.values()), (
        "where things lie is not told"
    )
    assert service.end_of(good)["state"] == "done"


def test_the_lines_of_the_document_work(service: Service, clip: Path, root: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    shutil.copy(clip, tmp_path / "interview.mp4")
    shutil.copy(clip, root / "talks" / "interview.mp4")
    with av.open(str(clip)) as opened:
        next(opened.decode(video=0)).to_image().save(tmp_path / "portrait.jpg")
    lines = [line for line in (ROOT / "docs" / "serve.md").read_text().splitlines() if line.startswith("curl ")]
    answers = []
    for line in lines:
        ours = line.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
        env = {**os.environ, "ID": json.loads(answers[0])["id"] if answers else ""}
        script = 'curl() { command curl -sS --fail-with-body "$@"; }; ' + ours
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stdout!r} {done.stderr!r}"
        answers.append(done.stdout)
    assert len(answers) == 12
    assert json.loads(answers[0])["name"] == "interview"
    assert json.loads(answers[5])["num_faces"] == 1
    assert answers[6].startswith(b"frame,timestamp,")
    assert len(json.loads(answers[10])["faces"]) == 1
    shown = set(service.ask("GET", "/openapi.json").json["paths"])
    named = (
        (ROOT / "docs" / "serve.md").read_text().replace("ID", "{job_id}").replace("/results/FILE", "/results/{file}")
    )
    assert all(path in named or path.removeprefix("/jobs/{job_id}") in named for path in shown)


def test_uploads_that_break_off_leave_nothing(service: Service, out: Path) -> None:
    before = files_below(out)
    head = "POST /jobs HTTP/1.1\r\nHost: localhost\r\n{}: {}\r\n\r\n"
    whole = b"80000\r\n" + b"x" * (1 << 19) + b"\r\n"
    sent = [
        (head.format("Content-Length", 10 << 30), b"x" * 1000, False),
        (head.format("Content-Length", 1 << 20), b"x" * 1000, True),
        (head.format("Content-Length", 1 << 20), b"x" * 1000, False),
        (head.format("Transfer-Encoding", "chunked"), 2 * whole + b"1\r\nx\r\n", False),
    ]
    answers = []
    for begin, body, leave in sent:
        with closing(socket.create_connection(("127.0.0.1", service.port), TIMEOUT_SECONDS)) as connection:
            connection.sendall(begin.encode() + body)
            answers.append(b"" if leave else connection.recv(4096))
    assert answers[0].startswith(b"HTTP/1.1 413"), "10 GB declared"
    assert answers[2].startswith(b"HTTP/1.1 408"), "nothing more came"
    assert answers[3].startswith(b"HTTP/1.1 413"), "more than 1 MiB without saying so"
    assert service.ask("POST", "/jobs", b"").status == 422
    began = time.monotonic()
    while files_below(out) - before and time.monotonic() - began < TIMEOUT_SECONDS:
        time.sleep(0.05)
    assert not files_below(out) - before
    assert not list((out / ".vidfer" / "aside").iterdir())


def held_by(service: Service) -> set[int]:
    """Return the clients' ports of the connections that the service holds open, as the kernel tells."""
    path = Path("/proc/net/tcp")
    if not path.is_file():
        pytest.skip(f"no {path} here")
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    ours = [row for row in rows if row[1].endswith(f":{service.port:04X}") and row[9] != "0"]
    return {int(row[2].rpartition(":")[2], 16) for row in ours}


def trickle(connection: socket.socket, begin: str, then: bytes) -> bytes:
    """Send the beginning of a request, then the same bytes again and again; return what is answered until it is cut."""
    answer = b""
    given_up = time.monotonic() + TIMEOUT_SECONDS
    try:
        connection.sendall(begin.encode())
        connection.settimeout(0.05)
        while time.monotonic() < given_up:
            connection.sendall(then)
            try:
                piece = connection.recv(4096)
            except TimeoutError:
                continue
            if not piece:
                return answer
            answer += piece
    except OSError:  # cut
        return answer
    raise AssertionError(f"it was never cut off: {answer!r}")


@pytest.mark.parametrize(
    ("begin", "then", "answer"),
    [
        ("", b"", b""),
        ("GET /health HTTP/1.1\r\nHost: localhost\r\n", b"X-Name: x\r\n", b""),
        ("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET", b" ", b"HTTP/1.1 200"),
        ("POST /picture HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", b"x", b"HTTP/1.1 408"),
        ("POST /jobs/from-root HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n", b"x", b"HTTP/1.1 408"),
        ("POST /picture HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", b"x", b"HTTP/1.1 413"),
    ],
    ids=["nothing", "head", "second head", "picture", "small body", "refused"],
)
def test_who_sends_slowly_is_cut_off(service: Service, begin: str, then: bytes, answer: bytes) -> None:
    """Each piece comes in time; the whole does not."""
    with closing(socket.create_connection(("127.0.0.1", service.port), TIMEOUT_SECONDS)) as connection:
        answered = trickle(connection, begin, then)
    assert answered.startswith(answer)
    assert bool(answered) == bool(answer)


def test_who_does_not_read_is_cut_off(service: Service, clip: Path) -> None:
    job_id = service.send(clip)
    service.end_of(job_id)
    with closing(socket.create_connection(("127.0.0.1", service.port), TIMEOUT_SECONDS)) as connection:
        ask = f"GET /jobs/{job_id}/results/assets/plotly.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(20 * ask.encode())  # more than the system holds between the two
        assert connection.recv(1)
        port = connection.getsockname()[1]
        assert port in held_by(service)
        began = time.monotonic()
        while port in held_by(service):
            assert time.monotonic() - began < TIMEOUT_SECONDS, "it is never let go"
            time.sleep(0.05)
    assert service.ask("GET", "/health").status == 200


def test_connections_are_counted(tmp_path: Path) -> None:
    """Who asks beside 500 others gets 503, and before there are too many for the process they are cut off."""
    with serving(tmp_path / "out", "--set", "serve.idle_seconds=10000") as service, ExitStack() as stack:

        def wait_for(least: int, most: int) -> None:
            began = time.monotonic()
            while not least <= len(held_by(service) - {0}) <= most:  # 0: where it listens
                assert time.monotonic() - began < TIMEOUT_SECONDS
                time.sleep(0.05)

        def connect(count: int) -> None:
            for _ in range(count):
                connection = socket.create_connection(("127.0.0.1", service.port), TIMEOUT_SECONDS)
                stack.enter_context(closing(connection))

        connect(550)
        wait_for(550, 550)
        assert service.ask("GET", "/health").status == 503
        connect(150)
        wait_for(590, 600)
        stack.close()
        wait_for(0, 100)
        assert service.ask("GET", "/health").status == 200


def test_bodies_of_small_requests_are_bounded(service: Service) -> None:
    assert service.ask("POST", "/jobs/from-root", {"path": "x" * 100_000}).status == 413
    assert service.ask("POST", "/jobs/from-root", {"nonsense": 1}).json == {"detail": "body.path: Field required"}
    assert service.ask("PUT", "/jobs", b"x").headers["allow"] == "GET, POST"


def test_a_name_of_another_site_is_not_heard(service: Service) -> None:
    """DNS rebinding: a page under its own name, which leads here."""
    for host in ("evil.example", "evil.example:80", f"127.0.0.1.evil.example:{service.port}", ""):
        assert service.ask("GET", "/jobs", host=host).status == 421
    for host in ("localhost", f"LOCALHOST:{service.port}", "127.0.0.1:1", "[::1]:8000"):
        assert service.ask("GET", "/jobs", host=host).status == 200


def test_pages_of_other_sites_are_not_heard(service: Service) -> None:
    for origin in ("http://evil.example", "null", "http://[", f"http://127.0.0.1:{service.port + 1}"):
        answer = service.ask("POST", "/jobs", b"x", origin=origin)
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers
    assert service.ask("GET", "/jobs", sec_fetch_site="cross-site", sec_fetch_mode="no-cors").status == 403
    assert service.ask("GET", "/jobs", origin=f"http://127.0.0.1:{service.port}").status == 200


def test_the_log_names_nobody(service: Service, clip: Path) -> None:
    job_id = service.send(clip, "anna%20schmidt.mp4")
    service.end_of(job_id)
    named = service.ask("POST", "/jobs/from-root", {"path": "talks/anna_schmidt.mp4", "name": "anna"}).json["id"]
    service.end_of(named)
    service.ask("GET", f"/jobs/{job_id}/anna_schmidt")
    log = service.log()
    assert "POST /jobs 202" in log
    assert "anna" not in log
    assert "schmidt" not in log
    assert job_id not in log


@pytest.mark.parametrize("end", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.torture)])
def test_jobs_go_on_where_the_process_ended(sample_video: Path, tmp_path: Path, end: signal.Signals) -> None:
    """Nothing that was finished is computed twice, and what waited is done, too."""
    settings = (
        "--set",
        "video.fps=12.5",
        "--set",
        "run.segment_frames=16",
        "--set",
        "output.exports=['csv', 'summary']",
    )
    with serving(tmp_path / "out", *settings) as service:
        first, second = service.send(sample_video), service.send(sample_video, "second")
        for job in service.events(first):
            if job["frames_done"] >= 32:
                break
        service.process.send_signal(end)
        service.process.wait(TIMEOUT_SECONDS)
    with serving(tmp_path / "out", *settings, "--set", "serve.jobs=2") as service:
        assert [job["name"] for job in service.ask("GET", "/jobs").json] == ["second", ""]
        ended = service.end_of(first)
        assert (ended["state"], ended["frames_total"]) == ("done", 100)
        told = json.loads((tmp_path / "out" / first / "results" / "run.json").read_text())
        assert 0 < told["clips"]["clip"]["computed_frames"] <= 100 - 16, "the first checkpoint at least is kept"
        assert service.end_of(second)["state"] == "done"
        timelines = [service.ask("GET", f"/jobs/{job_id}/timeline.csv").body for job_id in (first, second)]
        assert timelines[0] == timelines[1]
    with serving(tmp_path / "out", *settings) as service:
        assert service.ask("GET", f"/jobs/{first}/timeline.csv").body == timelines[0], "results outlive the process"
        assert service.ask("GET", f"/jobs/{first}").json == ended | {"state": "done"}


def test_a_job_that_hangs_can_be_cancelled_and_others_wait_in_a_bounded_queue(
    root: Path, clip: Path, tmp_path: Path
) -> None:
    path = os.pathsep.join(filter(None, [str(SABOTAGE), os.environ.get("PYTHONPATH")]))
    env = {"PYTHONPATH": path, "VIDFER_SABOTAGE": "hang:anna_schmidt.mp4"}
    with serving(tmp_path / "out", "--root", root, "--set", "serve.max_queue=2", *QUICK, env=env) as service:
        hung = service.ask("POST", "/jobs/from-root", {"path": "talks/anna_schmidt.mp4"}).json["id"]
        next(job for job in service.events(hung) if job["state"] == "running")
        waiting, good = service.send(clip), service.send(clip)
        full = service.ask("POST", "/jobs", clip.read_bytes())
        assert (full.status, full.headers["retry-after"]) == (503, "10")
        assert service.ask("GET", f"/jobs/{waiting}/summary").status == 409
        assert service.ask("POST", f"/jobs/{waiting}/cancel").json["state"] == "cancelled"
        time.sleep(1)  # whether it hangs already or is about to
        assert service.ask("GET", f"/jobs/{good}").json["state"] == "queued"
        service.ask("POST", f"/jobs/{hung}/cancel")
        assert service.end_of(hung)["state"] == "cancelled"
        assert service.end_of(good)["state"] == "done", "the engine has another worker"
        assert files_below(tmp_path / "out" / hung) == files_below(tmp_path / "out" / waiting) == {"job.json"}
        assert service.ask("POST", f"/jobs/{good}/cancel").json["state"] == "done", "what is over stays"
        running = service.ask("POST", "/jobs/from-root", {"path": "talks/anna_schmidt.mp4"}).json["id"]
        next(job for job in service.events(running) if job["state"] == "running")
        assert service.ask("DELETE", f"/jobs/{running}").status == 204
        assert not (tmp_path / "out" / running).exists()


def test_a_full_disk_is_said_and_costs_one_job(clip: Path, tmp_path: Path) -> None:
    tables = ("--set", "video.fps=5", "--set", "output.exports=['csv', 'summary']")
    with small_disk(tmp_path / "out", "2m") as out, serving(out, *tables) as service:
        answer = service.ask("POST", "/jobs", os.urandom(3 << 20))
        assert answer.status == 507
        assert answer.json["detail"].startswith("cannot be written: no space left on device")
        with (out / "of others").open("wb") as file:
            file.write(bytes((2 << 20) - clip.stat().st_size - (60 << 10)))
        job = service.end_of(service.send(clip))
        assert job["state"] == "failed"
        assert "no space left on device" in job["error"]["message"]
        assert str(out) not in job["error"]["message"]
        assert files_below(out / job["id"]) == {"job.json"}
        (out / "of others").unlink()
        assert service.end_of(service.send(clip))["state"] == "done"


def test_other_machines_need_a_token(tmp_path: Path, clip: Path) -> None:
    refused = vidfer("serve", "--out", tmp_path / "out", "--host", "0.0.0.0", "--port", "0", env={"VIDFER_TOKEN": ""})
    assert refused.returncode == 2
    assert "clients must show a token: expected one in --token-file FILE or $VIDFER_TOKEN" in refused.stderr
    short = vidfer("serve", "--out", tmp_path / "out", "--port", "0", env={"VIDFER_TOKEN": "short"})
    assert (short.returncode, "expected 16 or more" in short.stderr) == (2, True)
    (tmp_path / "token").write_text(TOKEN + "\n")
    limits = ("--keep-videos", "--set", "serve.max_job_seconds=0.01")
    with serving(tmp_path / "out", "--token-file", tmp_path / "token", *limits) as service:
        for path in ("/jobs", "/openapi.json", "/jobs/0/events"):
            for shown in (
                {},
                {"authorization": "Bearer wrong"},
                {"authorization": TOKEN},
                {"cookie": "vidfer_token=wrong"},
            ):
                answer = service.ask("GET", path, **shown)
                assert (answer.status, answer.headers.get("www-authenticate")) == (401, "Bearer")
        assert service.ask("POST", "/jobs", clip.read_bytes()).status == 401
        assert service.ask("GET", "/health").status == 200
        answer = service.ask("POST", "/session", authorization=f"Bearer {TOKEN}")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert service.ask("GET", "/jobs", cookie=cookie.partition(";")[0]).status == 200
        assert service.ask("GET", "/jobs", authorization=f"Bearer {TOKEN}").status == 200
        service.headers["authorization"] = f"Bearer {TOKEN}"
        job = service.end_of(service.send(clip))
        assert job["error"]["message"] == "the job took longer than the 0.01 s that are allowed here"
        assert service.ask("GET", f"/jobs/{job['id']}/video").body == clip.read_bytes(), "it is kept"
        assert TOKEN not in service.log()


def test_a_second_service_and_a_taken_port_are_refused(service: Service, out: Path, tmp_path: Path) -> None:
    second = vidfer("serve", "--out", out, "--port", "0")
    assert second.returncode == 2
    assert "another vidfer run writes there" in second.stderr
    taken = vidfer("serve", "--out", tmp_path, "--port", service.port)
    assert (taken.returncode, "cannot be listened at" in taken.stderr) == (2, True)
    assert len(taken.stderr.splitlines()) == 1
