"""report.html and index.html in a real browser, opened from disk as users open them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from fixtures.numbered_clips import draw_number, read_number
from fixtures.stream_files import with_early_sound
from PIL import Image

from vidfer.exporters import EXPORTERS
from vidfer.labels import UNSURE_COLOUR, UNSURE_LABEL
from vidfer.report.apex import apex_episodes
from vidfer.report.chart_options import ApexFrame, ChartOptions
from vidfer.report.index import render_index
from vidfer.report.page import CLIPS
from vidfer.report.report_data import script_json
from vidfer.timeline.states import episode_labels
from vidfer.timeline.summary import state_shares, summarise
from vidfer.timeline.time_course import time_course
from vidfer.types import ClipResult, FaceEmbeddings
from vidfer.video.probe import probe

CHROMIUM = Path("/usr/bin/chromium")
ARTIFACTS = Path(__file__).parents[1] / "artifacts"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)
NAME = 'it\'s 100 % "x" <script>alert(1)<_script> ü 日本'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser: {CHROMIUM} is absent (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def clip(sample_video: Path) -> ClipResult:
    """Two made-up faces over the sample video, 7 s, 384 x 384."""
    clip = make_clip(clip_id=f"a/{NAME}", seconds=7, faces=2, gaps=[(1, 2, 4)], path=str(sample_video))
    faces = replace(clip.faces, xyxy=clip.faces.xyxy * 0.4, landmarks=clip.faces.landmarks * 0.4)
    unsure = FaceEmbeddings(vectors=clip.embeddings.vectors, logits=clip.embeddings.logits * np.float32(0.5))
    return replace(clip, info=replace(clip.info, width=384, height=384), faces=faces, embeddings=unsure)


def look_of(clip: ClipResult, folder: Path | None = None) -> ChartOptions:
    picture = np.full((40, 40, 3), 150, np.uint8)
    apexes = [
        ApexFrame(
            track_id=e.track_id,
            emotion=e.emotion,
            seconds=e.peak_seconds,
            picture=picture,
            probability=e.peak_probability,
        )
        for e in apex_episodes(clip)
    ]
    return ChartOptions(apexes=tuple(apexes), folder=folder)


@pytest.fixture(scope="module")
def results(clip: ClipResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results of a run")
    names = script_json([clip.clip_id, "b/0"])
    files = {**EXPORTERS.get("report").shared_files(), CLIPS: f"window.vidferClips = {names};".encode()}
    drawn = EXPORTERS.get("report").draw(clip, look_of(clip, out / clip.clip_id))
    files |= {f"{clip.clip_id}/{name}": data for name, data in drawn.items()}
    others = [make_clip(clip_id=f"b/{i}", seconds=5 + 20 * i, faces=i, seed=i) for i in range(3)]
    failure = {"clip": "d/bad", "path": "/v/d/bad.mp4", "stage": "decode", "reason": "no_video_stream",
               "message": "there is no video in it, only audio", "attempts": 1}  # fmt: skip
    summaries = [{**summarise(one), "course": time_course(one)} for one in (clip, *others)]
    files["index.html"] = render_index(summaries, [failure])
    for name, data in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    return out


class Visit:
    """An open page, with all that went wrong on it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (self.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path) -> Visit:
        self.page.goto(path.as_uri(), timeout=120_000)
        return self

    def wait(self, condition: str) -> None:
        self.page.wait_for_function(condition, timeout=60_000)

    def time(self) -> float:
        return float(self.page.evaluate("video.currentTime"))

    def inked(self) -> int:
        """How many pixels of the canvas over the video are drawn on."""
        pixels = "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
        return int(self.page.evaluate(f"{pixels}.filter((value, i) => i % 4 === 3 && value).length"))

    def cursor(self) -> float:
        return float(self.page.evaluate("document.getElementById('cursor').getBoundingClientRect().left"))


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[[Path], Visit]]:
    pages = []

    def open_page(path: Path) -> Visit:
        pages.append(browser.new_page(viewport={"width": 1400, "height": 900}))
        return Visit(pages[-1]).open(path)

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture
def report(visit: Callable[[Path], Visit], results: Path, clip: ClipResult) -> Visit:
    """The report, ready: the chart is drawn and the video can play."""
    opened = visit(results / clip.clip_id / "report.html")
    opened.wait("video.readyState >= 2 && chart.querySelectorAll('.js-line').length > 0")
    return opened


def test_a_report_loads_without_an_error_and_without_the_network(report: Visit) -> None:
    assert report.errors == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in report.requests)
    assert NAME in report.page.inner_text("h1")
    assert report.page.is_hidden("#still")
    assert report.page.is_hidden("#no-video")
    assert report.inked() > 500
    ARTIFACTS.mkdir(exist_ok=True)
    report.page.evaluate("seek(5)")
    report.wait("!video.seeking")
    report.page.screenshot(path=str(ARTIFACTS / "report.png"), full_page=True)


@pytest.fixture(scope="module", params=[("webm", "libvpx"), ("mkv", "libx264")], ids=["webm", "mkv"])
def late_pictures(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClipResult]:
    """A report of a video whose first picture comes 2 s after its sound; the face moves 4 px a frame."""
    out = tmp_path_factory.mktemp("late")
    suffix, codec = request.param
    pictures = [draw_number(number) for number in range(75)]
    path = with_early_sound(out / f"late.{suffix}", pictures, codec=codec, sound="libopus", start=2.0)
    clip = make_clip(clip_id="late", seconds=3, path=str(path))
    left = 4 * clip.timeline.frame_row[:, None].astype(np.float32)
    xyxy = np.concatenate([left, left * 0 + 20, left + 30, left * 0 + 60], axis=1)
    info = replace(probe(path).info, width=400, height=320)  # as if 2.5 times as large
    clip = replace(clip, info=info, faces=replace(clip.faces, xyxy=xyxy))
    (out / "late").mkdir()
    names = script_json([clip.clip_id, "b/0"])
    files = {**EXPORTERS.get("report").shared_files(), CLIPS: f"window.vidferClips = {names};".encode()}
    files |= {
        f"late/{name}": data
        for name, data in EXPORTERS.get("report").draw(clip, ChartOptions(folder=out / "late")).items()
    }
    for name, data in files.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(data)
    return out / "late" / "report.html", clip


BOX_LEFT = """() => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const row = Math.round(50 * canvas.height / 320);  // below the label, above the box's lower edge
  const inked = x => pixels.data[4 * (row * canvas.width + x) + 3] > 60;
  for (let x = 0; x < canvas.width; x++) if (inked(x)) return x * 400 / canvas.width;
  return -1;
}"""


def test_boxes_fit_the_pictures_where_the_sound_starts_first(
    late_pictures: tuple[Path, ClipResult], visit: Callable[[Path], Visit]
) -> None:
    page_path, clip = late_pictures
    opened = visit(page_path)
    opened.wait("video.readyState >= 2 && chart.querySelectorAll('.js-line').length > 0")
    assert clip.info.start_seconds == pytest.approx(2.0, abs=0.01)
    opened.page.evaluate("document.getElementById('show-landmarks').click()")
    opened.page.evaluate("video.controls = false")  # they darken the picture's lower part
    opened.wait("!video.seeking && Math.abs(video.currentTime - 2) < 0.02")  # opens at the first picture
    for seconds in (0.5, 2.42, 0.02, 1.3):
        media_time = opened.page.evaluate(
            """seconds => new Promise(done => {
                 video.requestVideoFrameCallback((_, frame) => done(frame.mediaTime));
                 seek(seconds);
               })""",
            seconds,
        )
        opened.wait("!video.seeking")
        shown = round((media_time - 2.0) * 25)
        assert shown == pytest.approx(seconds * 25, abs=1)
        assert opened.page.evaluate(BOX_LEFT) == pytest.approx(4 * shown, abs=3)
        opened.page.evaluate("document.getElementById('show-boxes').click()")
        picture = Image.open(io.BytesIO(opened.page.locator("video").screenshot())).convert("RGB")
        opened.page.evaluate("document.getElementById('show-boxes').click()")
        assert read_number(np.asarray(picture)) == shown
    assert opened.errors == []


def test_a_click_on_the_chart_seeks(report: Visit) -> None:
    box = report.page.locator("#chart .nsewdrag").first.bounding_box()
    for part in (0.5, 0.9, 0.1):
        report.page.mouse.click(box["x"] + part * box["width"], box["y"] + 0.5 * box["height"])
        report.wait("!video.seeking")
        assert report.time() == pytest.approx(7 * part, abs=0.1)
        assert report.cursor() == pytest.approx(box["x"] + part * box["width"], abs=6)  # a frame is 3 px wide
    assert report.errors == []


def test_a_drag_zooms_and_a_click_then_seeks_to_what_is_shown(report: Visit) -> None:
    box = report.page.locator("#chart .nsewdrag").first.bounding_box()
    y = box["y"] + 0.5 * box["height"]
    report.page.mouse.move(box["x"] + 0.5 * box["width"], y)
    report.page.mouse.down()
    report.page.mouse.move(box["x"] + 0.75 * box["width"], y, steps=5)
    report.page.mouse.move(box["x"] + 1.0 * box["width"] - 1, y, steps=5)
    report.page.mouse.up()
    report.wait("timeAxis().from > 3")
    assert report.time() == 0
    report.page.wait_for_timeout(400)  # or the click would be the second of a double click, which shows all again
    report.page.mouse.click(box["x"] + 0.5 * box["width"], y)
    report.wait("!video.seeking")
    assert report.time() == pytest.approx(5.25, abs=0.15)


def test_episodes_and_keys_seek(report: Visit, clip: ClipResult) -> None:
    row = report.page.locator("tr[data-seconds]").nth(1)
    row.click()
    report.wait("!video.seeking")
    assert report.time() == pytest.approx(clip.segments[1].start_seconds, abs=0.05)
    report.page.locator("tr[data-seconds]").nth(0).press("Enter")
    report.page.keyboard.press("ArrowRight")
    report.wait("!video.seeking")
    assert report.time() == pytest.approx(clip.segments[0].start_seconds + 1, abs=0.05)
    report.page.keyboard.press("Shift+ArrowLeft")
    report.wait("!video.seeking")
    assert report.time() == pytest.approx(clip.segments[0].start_seconds + 0.9, abs=0.05)


def test_the_cursor_runs_with_the_video(report: Visit) -> None:
    start = report.cursor()
    report.page.keyboard.press("Space")
    report.wait("video.currentTime > 0.3")
    report.page.keyboard.press("Space")
    report.wait("video.paused")
    assert report.cursor() > start + 5
    assert report.errors == []


def test_a_face_can_be_switched_off_and_on(report: Visit) -> None:
    page, before = report.page, report.inked()
    lines = page.locator("#chart .js-line").count()
    rows = page.locator("tr[data-face]:visible").count()
    page.get_by_label("face 1").uncheck()
    report.wait(f"chart.querySelectorAll('.js-line').length < {lines}")
    assert page.locator("#chart .nsewdrag").count() == 2  # curves and ribbon of one face
    assert page.locator("tr[data-face]:visible").count() < rows
    assert 0 < report.inked() < before
    page.keyboard.press("2")
    page.locator("h1").click()
    page.keyboard.press("2")
    report.wait(f"chart.querySelectorAll('.js-line').length === {lines}")
    assert report.inked() == before


def test_boxes_and_landmarks_can_be_switched_off(report: Visit) -> None:
    both = report.inked()
    report.page.get_by_label("landmarks").uncheck()
    boxes = report.inked()
    report.page.get_by_label("boxes").uncheck()
    assert both > boxes > report.inked() == 0


def test_curves_can_be_stacked_and_the_band_is_explained(report: Visit) -> None:
    page = report.page
    assert page.is_visible("#band")
    assert "no interval of confidence" in page.inner_text("#band")
    solid = "e => e.getAttribute('style').includes('fill-opacity: 1')"
    fills = f"[...chart.querySelectorAll('.js-fill')].filter({solid}).length"
    assert page.evaluate(fills) == 0
    page.keyboard.press("a")
    report.wait(f"{fills} > 8")
    assert page.get_by_label("stacked").is_checked()
    assert page.is_hidden("#band")
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=str(ARTIFACTS / "report-stacked.png"))
    page.get_by_label("stacked").uncheck()
    report.wait(f"{fills} === 0")
    assert report.errors == []


def test_unsure_is_gray_in_the_ribbon_and_in_no_episode(report: Visit, clip: ClipResult) -> None:
    page = report.page
    bars = page.evaluate(
        "chart.data.filter(t => t.type === 'bar' && t.name === 'unsure').map(t => [t.marker.color, t.x])"
    )
    assert len(bars) == 2  # one for each face
    for track, (colour, milliseconds) in enumerate(bars):
        rows = clip.timeline.track_id == track
        held = episode_labels(clip.timeline, clip.frames, clip.segments)[rows]
        assert colour == UNSURE_COLOUR
        assert sum(milliseconds) == pytest.approx((held == UNSURE_LABEL).sum() / 25 * 1000, abs=1)
    assert sum(sum(milliseconds) for _, milliseconds in bars) > 0
    assert page.locator("tr[data-seconds]", has_text="unsure").count() == 0
    assert page.locator("tr", has_text="unsure").count() >= 1  # its share of the time


def test_a_picture_of_an_apex_leads_there(report: Visit, clip: ClipResult) -> None:
    apexes = look_of(clip).apexes
    buttons = report.page.locator("button[data-seconds]")
    assert buttons.count() == len(apexes) > 1
    buttons.nth(1).click()
    report.wait("!video.seeking")
    assert report.time() == pytest.approx(apexes[1].seconds, abs=0.05)
    face = apexes[0].track_id
    report.page.get_by_label(f"face {face}").uncheck()
    report.wait(f"!document.querySelector('button[data-face=\"{face}\"]').offsetParent")


def test_on_a_phone_nothing_lies_over_anything_else(report: Visit) -> None:
    page = report.page
    page.set_viewport_size({"width": 390, "height": 844})
    report.wait("chart.querySelector('.legend').getBoundingClientRect().height > 60")  # drawn again, in more rows
    page.wait_for_timeout(500)  # nothing comes after that and undoes it
    assert page.evaluate("chart.clientHeight") > 400
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    def box(selector: str) -> dict[str, float]:
        return page.locator(selector).first.bounding_box()  # type: ignore[no-any-return]

    legend, note, plot = box("#chart .legend"), box("#chart .annotation"), box("#chart .nsewdrag")
    tools = box("#chart .modebar-group")
    assert tools["y"] + tools["height"] <= legend["y"] + 2
    assert legend["y"] + legend["height"] <= note["y"] + 2
    assert note["y"] + note["height"] <= plot["y"] + 2
    switches = box(".switches")
    assert switches["y"] + switches["height"] <= box("#plot")["y"]
    report.page.evaluate("seek(3)")
    report.wait("!video.seeking")
    cursor = box("#cursor")
    assert plot["y"] - 2 <= cursor["y"] <= plot["y"] + 2
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=str(ARTIFACTS / "report-phone.png"), full_page=True)


@pytest.mark.parametrize(
    ("faces", "width", "height"), [(3, 1400, 500), (4, 1400, 900), (12, 1400, 700), (4, 390, 844), (6, 800, 1000)]
)
def test_the_video_stays_in_view_over_the_curves_of_many_faces(
    visit: Callable[[Path], Visit], sample_video: Path, results: Path, faces: int, width: int, height: int
) -> None:
    many = make_clip(clip_id="many", seconds=2, faces=faces, path=str(sample_video))
    page_path = results / "many" / f"{faces}.html"
    page_path.parent.mkdir(exist_ok=True)
    drawn = EXPORTERS.get("report").draw(many, ChartOptions(folder=page_path.parent))
    page_path.write_bytes(drawn["report.html"])
    opened = visit(page_path)
    page = opened.page
    page.set_viewport_size({"width": width, "height": height})
    for switch in page.locator("#faces input").all():
        switch.check()
    opened.wait(f"chart.querySelectorAll('.nsewdrag').length === {2 * faces}")  # curves and a ribbon of each
    chart = page.locator("#chart").bounding_box()
    assert chart["height"] > height  # so that one has to scroll
    start, end = chart["y"], chart["y"] + chart["height"]
    for top in np.linspace(start, end - height, 6):  # the curves fill the window, from the first to the last
        page.evaluate(f"scrollTo(0, {top})")
        video = page.locator("video").bounding_box()
        assert video["y"] >= 0, f"at {top} of {end}"
        assert video["y"] + video["height"] <= height, f"at {top} of {end}"
        if width < 1000:  # the curves are below it, not beside it
            assert video["height"] <= 0.36 * height
    assert page.evaluate("scrollY") > 100
    if width < 1000:  # and below the curves, too
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        assert page.locator("#people").bounding_box()["y"] < height
        assert page.locator("video").bounding_box()["y"] == 0
        page.locator("tr[data-seconds]").first.focus()  # what the keyboard reaches is not behind it
        row, video = page.locator("tr[data-seconds]").first.bounding_box(), page.locator("video").bounding_box()
        assert video["y"] + video["height"] <= row["y"] < height
        page.keyboard.press("Enter")
        opened.wait("!video.seeking")
    page.locator("#chart .nsewdrag").last.click(position={"x": 100, "y": 5})  # seen while one points at the last face
    opened.wait("!video.seeking && video.currentTime > 0")
    assert opened.errors == []


def test_in_print_the_still_chart_stands_for_the_live_one(report: Visit) -> None:
    report.page.emulate_media(media="print")
    assert report.page.is_visible("#still")
    assert report.page.is_hidden("#chart")
    assert report.page.is_hidden("video")
    assert report.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_the_video_the_page_says_so_and_shows_the_chart(
    visit: Callable[[Path], Visit], results: Path, clip: ClipResult
) -> None:
    moved = replace(clip, info=replace(clip.info, path="/nowhere/was moved.mp4"))
    page = results / clip.clip_id / "moved.html"
    page.write_bytes(EXPORTERS.get("report").render(moved)["report.html"])
    opened = visit(page)
    opened.wait("!document.getElementById('no-video').hidden && chart.querySelectorAll('.js-line').length > 0")
    box = opened.page.locator("#chart .nsewdrag").first.bounding_box()
    opened.page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 20)
    assert opened.cursor() == pytest.approx(box["x"] + 0.5 * box["width"], abs=3)
    assert all("ERR_FILE_NOT_FOUND" in error for error in opened.errors)


def test_a_page_that_was_moved_alone_shows_the_still_chart(
    visit: Callable[[Path], Visit], results: Path, clip: ClipResult, tmp_path: Path
) -> None:
    """Its video and the plotting library are named relative to it: no path of the machine is in it."""
    (tmp_path / "report.html").write_bytes((results / clip.clip_id / "report.html").read_bytes())
    opened = visit(tmp_path / "report.html")
    opened.wait("document.getElementById('still').complete && !document.getElementById('no-video').hidden")
    assert opened.page.is_visible("#still")
    assert all("ERR_FILE_NOT_FOUND" in error for error in opened.errors)


def test_a_clip_without_a_face_shows_the_still_chart(visit: Callable[[Path], Visit], results: Path) -> None:
    page = results / "c" / "report.html"
    page.parent.mkdir(exist_ok=True)
    page.write_bytes(EXPORTERS.get("report").render(make_clip(clip_id="c", seconds=1, faces=0))["report.html"])
    opened = visit(page)
    assert opened.page.is_visible("#still")
    assert all("ERR_FILE_NOT_FOUND" in error for error in opened.errors)  # the made-up clip's video


def test_the_start_page_sorts_and_leads_to_the_report(visit: Callable[[Path], Visit], results: Path) -> None:
    opened = visit(results / "index.html")
    page = opened.page
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=str(ARTIFACTS / "index.png"), full_page=True)
    for width in (1200, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1200, "height": 900})
    table = page.locator("#clips").bounding_box()
    assert table["x"] + table["width"] <= 1200 - 20  # every column is seen without scrolling

    def durations() -> list[str]:
        return [cell.inner_text() for cell in page.locator("#clips tbody tr td:nth-child(2)").all()]

    page.get_by_role("button", name="duration").click()
    assert durations() == ["5.0 s", "7.0 s", "25.0 s", "45.0 s"]
    page.get_by_role("button", name="duration").click()
    assert durations() == ["45.0 s", "25.0 s", "7.0 s", "5.0 s"]
    assert opened.errors == []
    page.get_by_role("link", name=re.compile("it's 100")).click()
    opened.wait("typeof chart !== 'undefined' && chart.querySelectorAll('.js-line').length > 0")
    assert opened.errors == []


def listed(number: int, **changed: Any) -> dict[str, Any]:
    """A clip's summary for the start page, with values that text would sort otherwise."""
    return {**summarise(make_clip(clip_id=f"c{number}", seconds=1, faces=0)), **changed}


def shares(dominant: str, share: float) -> dict[str, Any]:
    rest = (1 - share) / 4
    emotions = {name: {"share_of_time": share if name == dominant else rest} for name in ("anger", "fear", "neutral")}
    return {"dominant_emotion": dominant, "emotions": emotions, "unsure_share_of_time": rest}


INDEXED = [  # clip, then what the columns show, in order
    listed(10, duration_seconds=3600.5, sampled_frames=9, frames_with_face=9, num_people=2, num_episodes=100,
           mean_quality=0.98, warnings=["b"], **shares("neutral", 0.9)),
    listed(9, duration_seconds=59.9, sampled_frames=1000, frames_with_face=95, num_people=10, num_episodes=9,
           mean_quality=0.7, warnings=["a"], **shares("fear", 0.7)),
    listed(1, duration_seconds=None, sampled_frames=0, frames_with_face=0, num_people=0, num_episodes=0,
           mean_quality=None),
    listed(100, duration_seconds=7.25, sampled_frames=10, frames_with_face=0, num_people=1, num_episodes=20,
           mean_quality=1.0, truncated=True, **shares("anger", 0.4)),
    listed(2, duration_seconds=600, sampled_frames=3, frames_with_face=1, num_people=64, num_episodes=3,
           mean_quality=0.095, **shares("unsure", 0.3)),
]  # fmt: skip
SORTED_BY: dict[str, Callable[[dict[str, Any]], Any]] = {
    "clip": lambda one: int(one["clip"][1:]),
    "duration": lambda one: one["duration_seconds"],
    "with a face": lambda one: one["frames_with_face"] / one["sampled_frames"] if one["sampled_frames"] else None,
    "people": lambda one: one["num_people"],
    "mostly": lambda one: one["dominant_emotion"],
    "share of time": lambda one: max(
        (share for share in state_shares(one).values() if share is not None), default=None
    ),
    "episodes": lambda one: one["num_episodes"],
    "quality": lambda one: one["mean_quality"],
    "notes": lambda one: "damaged or cut short" if one["truncated"] else "".join(one["warnings"]) or None,
}


def test_every_column_sorts_by_value_both_ways(visit: Callable[[Path], Visit], tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(render_index(INDEXED))
    opened = visit(tmp_path / "index.html")
    page = opened.page
    assert [heading.inner_text() for heading in page.locator("#clips th button").all()] == list(SORTED_BY)
    assert page.locator("#clips th").all_inner_texts() == [*list(SORTED_BY)[:5], "over time", *list(SORTED_BY)[5:]]
    for heading, value in SORTED_BY.items():
        known = sorted((one for one in INDEXED if value(one) is not None), key=value)
        unknown = {one["clip"] for one in INDEXED if value(one) is None}  # last, whichever way
        for order in (known, known[::-1]):
            page.locator("#clips th button", has_text=re.compile(f"^{heading}$")).click()
            shown = [text.split("\n")[0] for text in page.locator("#clips tbody td.name:first-child").all_inner_texts()]
            assert shown[: len(known)] == [one["clip"] for one in order], heading
            assert set(shown[len(known) :]) == unknown
    assert opened.errors == []


def test_a_report_leads_to_the_index_and_to_the_next_clip(
    visit: Callable[[Path], Visit], results: Path, clip: ClipResult
) -> None:
    page = visit(results / clip.clip_id / "report.html").page
    links = [str(link.get_attribute("href")) for link in page.locator("nav a").all()]
    assert links[0].endswith("index.html")
    assert links[1].endswith("b/0/report.html")
    assert len(links) == 2


def test_numbers_follow_the_faces_that_are_on(visit: Callable[[Path], Visit], results: Path, clip: ClipResult) -> None:
    page = visit(results / clip.clip_id / "report.html").page
    before = page.locator("#emotions tbody").inner_text()
    boxes = page.locator("#faces input")
    assert boxes.count() > 1
    boxes.first.uncheck()
    assert page.locator("#emotions tbody").inner_text() != before
    assert not page.locator("tr[data-numbers]").first.is_visible()
    boxes.first.check()
    assert page.locator("#emotions tbody").inner_text() == before
