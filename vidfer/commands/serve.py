"""``vidfer serve``: jobs, pictures and streams over HTTP."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from contextlib import closing
from importlib import util
from pathlib import Path

from vidfer.commands import EXIT_OK
from vidfer.commands.exports import check_exports
from vidfer.config import load_pipeline
from vidfer.errors import ConfigError, MissingDependency
from vidfer.pipeline.exported_files import exported_settings

TOKEN_VARIABLE = "VIDFER_TOKEN"
MIN_TOKEN_LENGTH = 16  # characters; what `openssl rand -hex 32` prints has 64
CLOSE_SECONDS = 2  # for answers that are under way when the service ends


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; see ``vidfer serve --help``."""
    for package in ("fastapi", "uvicorn", "websockets"):
        if util.find_spec(package) is None:
            raise MissingDependency(package, needed_for="vidfer serve", extra="serve")
    import uvicorn

    from vidfer.service.app import create_app
    from vidfer.service.connections import MAX_CONNECTIONS, bounded_by
    from vidfer.service.guard import Guard, is_loopback
    from vidfer.service.jobs import Jobs
    from vidfer.service.networks import Networks

    _log(options)
    config = load_pipeline(options.pipeline, options.set)
    check_exports(config.exports)
    limits, token = config.serve, _token(options)
    if not token and not is_loopback(options.host):
        raise ConfigError(
            f"--host {options.host}: other machines reach it, so clients must show a token: expected one in "
            f"--token-file FILE or ${TOKEN_VARIABLE}, e.g. of openssl rand -hex 32"
        )
    root = Path(options.root) if options.root else None
    if root is not None and not root.is_dir():
        raise ConfigError(f"--root {root}: expected a folder of videos")
    streams = load_pipeline("live").model_copy(update={"run": config.run, "networks": config.networks})
    for pipeline in (config, streams):
        exported_settings(pipeline)  # raises now, not at a client's request, if networks.folder is wrong
    with closing(_listen(options.host, options.port)) as listening:
        jobs = Jobs(Path(options.out), config, root=root, keep_videos=options.keep_videos)
        networks = Networks(config, streams, max_pixels=limits.max_megapixels * 1e6, max_streams=limits.max_streams)
        with closing(networks), jobs:
            app = create_app(jobs, networks, limits, token=token)
            server = uvicorn.Server(
                uvicorn.Config(
                    Guard(app, limits=limits, host=options.host, token=token),
                    http=bounded_by(limits.idle_seconds),
                    log_config=None,  # its lines name what clients ask for
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,  # clients may write anything into these headers
                    lifespan="off",
                    limit_concurrency=MAX_CONNECTIONS,
                    ws_max_size=limits.max_picture_mib << 20,
                    timeout_graceful_shutdown=CLOSE_SECONDS,
                )
            )
            if not options.quiet:
                print(f"vidfer: page and service at {_url(listening)}", file=sys.stderr, flush=True)
            for number in (signal.SIGINT, signal.SIGTERM):  # which uvicorn heeds, and raises again when it has ended
                signal.signal(number, lambda *_: None)
            server.run(sockets=[listening])
    return EXIT_OK


def _token(options: argparse.Namespace) -> str:
    """Return the token, which is not taken from the command line: everybody on the machine may read that."""
    source, token = f"${TOKEN_VARIABLE}", os.environ.get(TOKEN_VARIABLE, "")
    if options.token_file:
        source = f"--token-file {options.token_file}"
        try:
            token = Path(options.token_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{source}: cannot be read: {error}") from error
    elif not token:
        return ""
    if len(token) < MIN_TOKEN_LENGTH or not (token.isascii() and token.isprintable()) or {*' ",;\\'} & {*token}:
        raise ConfigError(
            f"{source}: expected {MIN_TOKEN_LENGTH} or more letters, digits and the like, without spaces, quotes, "
            f"commas, semicolons and backslashes: e.g. what openssl rand -hex 32 prints"
        )
    return token


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--host {host} --port {port}: cannot be listened at: {error}") from error


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _log(options: argparse.Namespace) -> None:
    """Log without names: of other parts of vidfer, whose lines name files, nothing unless ``-v`` asks for it."""
    logging.basicConfig(level=logging.INFO, format="vidfer: %(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL if not options.verbose else logging.WARNING)
    logging.getLogger("vidfer").setLevel(logging.WARNING if options.verbose else logging.CRITICAL)
    logging.getLogger("vidfer.service").setLevel(logging.ERROR if options.quiet else logging.INFO)
