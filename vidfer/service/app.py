"""What clients may ask for: the service's addresses, and how each is answered."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.routing import Route

import vidfer
from vidfer.config import ServeConfig
from vidfer.errors import DataError, OutputError
from vidfer.service.guard import COOKIE
from vidfer.service.jobs import CLIP, FINAL, MAX_NAME, VIDEO, Job, Jobs, NoSuchJob, NoSuchVideo, QueueFull
from vidfer.service.networks import Busy, Networks
from vidfer.store.atomic import output_error

_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_LOOK_SECONDS = 0.2  # between two messages of progress
_SIGN_OF_LIFE_SECONDS = 15.0  # proxies cut off what is silent
_WRITE_BYTES = 1 << 20
_EXAMPLE_JOB: dict[str, Any] = {
    "id": "4f0c2ab1d3e4f5968778695a4b3c2d1e",
    "name": "interview.mp4",
    "state": "running",
    "created": "2026-01-31T09:30:00Z",
    "finished": None,
    "stage": "",
    "frames_done": 512,
    "frames_total": 7500,
    "error": None,
    "files": [],
}
_EXAMPLE_FACES = {
    "width": 640,
    "height": 480,
    "faces": [{"face_id": 0, "emotion": "happiness", "x": 98.46, "y": 60.1, "width": 120.3, "height": 148.8}],
}


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


class NamedVideo(BaseModel):
    """A video below the service's root."""

    path: str = Field(max_length=4096, examples=["talks/interview.mp4"])
    name: str = Field("", max_length=MAX_NAME)


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    said = {
        400: "the body is no JSON",
        404: "there is no such job, file or video",
        408: "the body took too long",
        409: "the job is not done",
        413: "larger than the settings allow",
        503: "too much is waiting; Retry-After says when to try again",
        507: "the disk is full",
    }
    # At any address, mostly by the guard.
    always = {
        401: "the token is missing or wrong",
        403: "another site's page asked",
        413: said[413],
        421: "the service is not called by that name",
        422: "what was sent cannot be used",
        429: "too many requests; Retry-After says when to try again",
    }
    chosen = always | {status: said[status] for status in statuses}
    return {status: {"model": Problem, "description": what} for status, what in sorted(chosen.items())}


def _body(*media_types: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "binary", "minLength": 1}
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in media_types}}}


def _answers(
    example: Any, media_type: str = "application/json", *, status: int = 200
) -> dict[int | str, dict[str, Any]]:
    return {status: {"content": {media_type: {"example": example}}}}


def create_app(jobs: Jobs, networks: Networks, limits: ServeConfig, *, token: str = "") -> FastAPI:
    """Return the service as an ASGI application, without the guard that it needs."""
    # The pages that FastAPI shows its documents on load their scripts from elsewhere.
    app = FastAPI(title="vidfer", version=vidfer.__version__, docs_url=None, redoc_url=None)
    _add_errors(app)
    _add_pages(app, token)
    _add_jobs(app, jobs)
    _add_results(app, jobs)
    _add_pictures(app, networks, limits)
    return app


def _add_errors(app: FastAPI) -> None:
    def answer_as(error: type[Exception], status: int, retry_after: str = "") -> None:
        async def answer(_: Request, problem: Exception) -> Response:
            text = str(problem)
            if isinstance(problem, OutputError):
                text = text.partition(": ")[2]  # without where things lie
            return JSONResponse({"detail": text}, status, {"retry-after": retry_after} if retry_after else None)

        app.add_exception_handler(error, answer)

    async def not_allowed(request: Request, _: Exception) -> Response:
        routes = [route for route in app.routes if isinstance(route, Route)]
        path = next(route.path for route in routes if route.path_regex.match(request.url.path))
        methods = sorted({method for route in routes if route.path == path for method in route.methods or ()})
        return JSONResponse({"detail": "Method Not Allowed"}, 405, {"allow": ", ".join(methods)})

    async def not_understood(_: Request, problem: Exception) -> Response:
        assert isinstance(problem, RequestValidationError)
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problem.errors())
        return JSONResponse({"detail": said}, 422)

    app.add_exception_handler(405, not_allowed)
    app.add_exception_handler(RequestValidationError, not_understood)
    answer_as(NoSuchJob, 404)
    answer_as(NoSuchVideo, 404)
    answer_as(DataError, 422)
    answer_as(QueueFull, 503, "10")
    answer_as(Busy, 503, "1")
    answer_as(OutputError, 507)


def _add_pages(app: FastAPI, token: str) -> None:
    folder = resources.files("vidfer.service") / "page"
    for path, (name, media_type) in _PAGE.items():
        data = (folder / name).read_bytes()
        answer = Response(data, media_type=media_type)
        app.add_api_route(path, lambda answer=answer: answer, include_in_schema=False)

    @app.get("/health", responses=_answers({"status": "ok", "version": vidfer.__version__}) | _refusals())
    async def health() -> dict[str, str]:
        """Say that the service is there."""
        return {"status": "ok", "version": vidfer.__version__}

    @app.post("/session", status_code=204, responses=_refusals())
    async def session(request: Request) -> Response:
        """Let a browser that showed the token show it as a cookie from now on, as links and streams need."""
        answer = Response(status_code=204)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure)
        return answer


def _add_jobs(app: FastAPI, jobs: Jobs) -> None:
    one_job, several, taken = _answers(_EXAMPLE_JOB), _answers([_EXAMPLE_JOB]), _answers(_EXAMPLE_JOB, status=202)

    @app.post(
        "/jobs",
        status_code=202,
        responses=taken | _refusals(408, 503, 507),
        openapi_extra=_body("application/octet-stream"),
    )
    async def send_a_video(
        request: Request, name: Annotated[str, Query(max_length=MAX_NAME, description="what you call it")] = ""
    ) -> Job:
        """Send a video as the body of the request, and have it worked on."""
        with jobs.place() as folder:
            await _receive(request, folder / VIDEO)
            return await run_in_threadpool(jobs.add, folder, name)

    @app.post("/jobs/from-root", status_code=202, responses=taken | _refusals(400, 404, 408, 503, 507))
    async def name_a_video(video: Annotated[NamedVideo, Body()]) -> Job:
        """Have a video that lies below the service's root worked on."""
        return await run_in_threadpool(jobs.add_from_root, video.path, video.name)

    @app.get("/jobs", responses=several | _refusals())
    async def list_jobs(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[Job]:
        """List the jobs, the newest first."""
        return jobs.newest(limit)

    @app.get("/jobs/{job_id}", responses=one_job | _refusals(404))
    async def show_a_job(job_id: str) -> Job:
        """Say how far a job has come."""
        return jobs.get(job_id)

    @app.get(
        "/jobs/{job_id}/events",
        response_class=StreamingResponse,
        responses=_answers(f"event: job\ndata: {json.dumps(_EXAMPLE_JOB)}\n\n", "text/event-stream") | _refusals(404),
    )
    async def follow_a_job(job_id: str) -> StreamingResponse:
        """Send server-sent events: ``job`` with each change until the job is over, or ``deleted``."""
        jobs.get(job_id)
        return StreamingResponse(_events(jobs, job_id), media_type="text/event-stream")

    @app.post("/jobs/{job_id}/cancel", responses=one_job | _refusals(404))
    async def cancel_a_job(job_id: str) -> Job:
        """End a job; one that is over stays as it is. A job in work is over in less than a second."""
        return await run_in_threadpool(jobs.cancel, job_id)

    @app.delete("/jobs/{job_id}", status_code=204, responses=_refusals(404, 507))
    async def delete_a_job(job_id: str) -> None:
        """Remove a job with all its data, ending it first."""
        await run_in_threadpool(jobs.delete, job_id)


async def _receive(request: Request, path: Path) -> None:
    """Write a request's body to a file as it comes; raises HTTPException if it is empty, OutputError on a full disk."""
    try:
        with path.open("xb", buffering=_WRITE_BYTES) as file:
            async for piece in request.stream():
                await run_in_threadpool(file.write, piece)
            file.flush()
            await run_in_threadpool(os.fsync, file.fileno())
            size = file.tell()
    except OSError as error:
        raise output_error(path, error) from error
    if not size:
        raise HTTPException(422, "expected a video as the body of the request, got nothing")


async def _events(jobs: Jobs, job_id: str) -> AsyncIterator[str]:
    said, at = "", time.monotonic()
    while True:
        try:
            job = jobs.get(job_id)
        except NoSuchJob:
            yield "event: deleted\ndata: {}\n\n"
            return
        text = job.model_dump_json()
        if text != said:
            said, at = text, time.monotonic()
            yield f"event: job\ndata: {text}\n\n"
        elif time.monotonic() - at > _SIGN_OF_LIFE_SECONDS:
            at = time.monotonic()
            yield ": still there\n\n"
        if job.state in FINAL:
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _add_results(app: FastAPI, jobs: Jobs) -> None:
    def found(job_id: str, name: str) -> FileResponse:
        if (state := jobs.get(job_id).state) != "done":
            raise HTTPException(409, f"the job is {state}: it has results once it is done")
        path = jobs.results(job_id).get(name)
        if path is None:
            raise HTTPException(404, "there is no such file")
        return FileResponse(path)

    summary: dict[str, Any] = {"duration_seconds": 8.0, "num_faces": 2, "dominant_emotion": "neutral"}

    @app.get("/jobs/{job_id}/summary", response_class=FileResponse, responses=_answers(summary) | _refusals(404, 409))
    def summary_of_a_job(job_id: str) -> FileResponse:
        """Return summary.json: who was seen, and shares of expressions."""
        return found(job_id, f"{CLIP}/summary.json")

    @app.get(
        "/jobs/{job_id}/timeline.csv",
        response_class=FileResponse,
        responses=_answers("frame,timestamp,face_id,success,...", "text/csv") | _refusals(404, 409),
    )
    def timeline_of_a_job(job_id: str) -> FileResponse:
        """Return timeline.csv: a row per frame and face."""
        return found(job_id, f"{CLIP}/timeline.csv")

    @app.get(
        "/jobs/{job_id}/results/{file:path}",
        response_class=FileResponse,
        responses=_answers("", "application/octet-stream") | _refusals(404, 409),
    )
    def result_of_a_job(job_id: str, file: str) -> FileResponse:
        """Return a file of the results: those in the job's ``files``, and what clip/report.html asks for."""
        return found(job_id, file)

    @app.get("/jobs/{job_id}/video", response_class=FileResponse, include_in_schema=False)
    def video_of_a_job(job_id: str) -> FileResponse:
        """Return the video that the report shows, where it was kept."""
        path = jobs.video(job_id)
        if not path.is_file():
            raise HTTPException(404, "the video is not kept")
        return FileResponse(path, media_type="application/octet-stream")


def _add_pictures(app: FastAPI, networks: Networks, limits: ServeConfig) -> None:
    @app.post(
        "/picture",
        responses=_answers(_EXAMPLE_FACES) | _refusals(408, 503),
        openapi_extra=_body("image/jpeg", "image/png", "image/webp"),
    )
    async def look_at_a_picture(request: Request) -> dict[str, Any]:
        """Send a picture as the body of the request, and get its faces; nothing is kept."""
        return await networks.picture(await request.body())

    @app.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        """Take frames as binary messages, and answer each with what is in it; nothing is kept.

        A text message ``{"seconds": 1.5}`` gives the time of the next frame; else it is when that came.
        """
        await socket.accept()
        try:
            async with networks.stream() as look:
                await _talk(socket, look, limits.idle_seconds)
        except Busy as error:
            await socket.close(1013, str(error))
        except TimeoutError:
            await socket.close(1008, f"no frame for {limits.idle_seconds:g} s")
        except WebSocketDisconnect:
            pass


async def _talk(socket: WebSocket, look: Any, idle_seconds: float) -> None:
    began, seconds = time.monotonic(), None
    while True:
        async with asyncio.timeout(idle_seconds):
            message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        try:
            if message.get("bytes") is None:
                seconds = _seconds_of(message.get("text") or "")
                continue
            at, seconds = (time.monotonic() - began if seconds is None else seconds), None
            line = await look(message["bytes"], at) or json.dumps({"late": True})
        except (DataError, Busy) as error:
            line = json.dumps({"error": str(error)})
        await socket.send_text(line)


def _seconds_of(text: str) -> float:
    try:
        return float(json.loads(text)["seconds"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DataError('expected a picture as a binary message, or its time as text: {"seconds": 1.5}') from None
