"""The command line: parse, call, exit code. Heavy imports happen in the commands."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence

import vidfer
from vidfer.commands import EXIT_INTERRUPTED, EXIT_USAGE

COMMANDS = {
    "process": "turn videos into expression timelines",
    "report": "write charts, pages and tables of finished clips again, without opening a video",
    "status": "say what is done, stale or failed in a results folder",
    "manifest": "build and check tables of labelled clips",
    "train": "train one of the networks by a recipe, or continue a stopped training",
    "evaluate": "measure a per-frame network on labelled faces",
    "explain": "show what the per-frame network saw in one frame",
    "sample": "make a small sample video to try things on",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 some clip failed, 2 wrong usage, 130 interrupted."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    command = importlib.import_module(f"vidfer.commands.{options.command}")
    from vidfer.errors import VidferError

    try:
        return int(command.run(options))
    except VidferError as error:
        if getattr(options, "verbose", False):
            traceback.print_exc()
        print(f"vidfer: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("vidfer: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="vidfer",
        description="Facial-expression timelines from folders of videos. "
        "Reports expressions as people label them; it does not read minds and recognises nobody.",
    )
    parser.add_argument("--version", action="version", version=f"vidfer {vidfer.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        globals()[f"_{name}_arguments"](command)
    return parser


def _process_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a video, a folder (searched recursively) or a glob")
    parser.add_argument("--out", required=True, metavar="DIR", help="results folder; a second run goes on there")
    parser.add_argument("--pipeline", default="default", metavar="NAME|FILE.toml", help="default: default")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting; repeatable"
    )
    parser.add_argument("--fps", type=float, metavar="N", help="frames looked at per second of video; default: every")
    parser.add_argument("--device", metavar="auto|cpu|cuda[:i]", help="default: auto")
    parser.add_argument("--jobs", type=int, metavar="N", help="videos at a time; default: from the machine")
    parser.add_argument(
        "--engine",
        choices=["local", "ray", "slurm"],
        default="local",
        help="where videos are worked on: this machine (default), Ray, or SLURM; see docs/scaling.md",
    )
    parser.add_argument(
        "--address",
        metavar="auto|HOST:PORT",
        help="with --engine ray: the cluster; auto: the one that ray start began here; default: this machine alone",
    )
    parser.add_argument("--decoder", choices=["auto", "decord", "pyav"], help="default: auto")
    parser.add_argument("--strict", action="store_true", help="a truncated or damaged video is a failure")
    parser.add_argument(
        "--force",
        nargs="?",
        const="faces",
        choices=["faces", "embeddings", "tracks", "emotions"],
        metavar="STAGE",
        help="compute again from this stage on (faces, embeddings, tracks, emotions; without a name: everything)",
    )
    parser.add_argument("--retry-failed", action="store_true", help="try videos again that are known to be bad")
    parser.add_argument("--no-plots", action="store_true", help="tables only, no charts and reports")
    parser.add_argument("--export", metavar="NAME[,NAME...]", help="output formats instead of the pipeline's")
    _blur_argument(parser)
    _chart_arguments(parser)
    parser.add_argument("--events", metavar="FILE", help="append every progress event to FILE, as JSON lines")
    _verbosity(parser)


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="DIR", help="a results folder")
    parser.add_argument("--export", metavar="NAME[,NAME...]", help="output formats; default: those of the last run")
    _blur_argument(parser)
    parser.add_argument(
        "--clip", action="append", default=[], metavar="NAME", help="only this clip, or a pattern; repeatable"
    )
    parser.add_argument(
        "--align",
        choices=["start", "fraction"],
        default="start",
        help="average over clips: all from their start (default), or stretched to one length",
    )
    _chart_arguments(parser)
    _verbosity(parser)


def _blur_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--blur-faces", action="store_true", help="with --export overlay: hide the faces found, keep boxes and bars"
    )


def _chart_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--chart", choices=["auto", "lines", "areas"], help="instead of the settings'; auto: areas above five minutes"
    )
    parser.add_argument(
        "--thumbnails",
        action=argparse.BooleanOptionalAction,
        help="show the face at the peak of its episodes; charts then hold pictures of faces",
    )


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="DIR", help="a results folder")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--check", action="store_true", help="look at every file also where there are many thousands")
    _verbosity(parser)


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", choices=["detector", "landmarks", "emotion-cnn", "temporal"])
    parser.add_argument("--recipe", default="", metavar="FILE.toml|NAME", help="see pipelines/train")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", metavar="DIR", help="folder with the data files that the recipe names")
    source.add_argument(
        "--manifest",
        metavar="FILE.csv",
        help="emotion-cnn, temporal: your labelled data; docs/data.md",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="run folder: checkpoint, log, best weights")
    parser.add_argument(
        "--folds", type=int, default=0, metavar="K", help="with --manifest: cross-validation by subject, K trainings"
    )
    _corpus_arguments(parser)
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="cores to use; default: all")
    _verbosity(parser)


def _corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says how the videos of a manifest are worked on."""
    parser.add_argument("--root", metavar="DIR", help="folder that the manifest's relative paths start from")
    parser.add_argument(
        "--clips", metavar="DIR", help="results folder that keeps what is computed of the videos; default: OUT/clips"
    )
    parser.add_argument("--pipeline", default="default", metavar="NAME|FILE.toml", help="with --manifest")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="with --manifest")


def _manifest_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser("build", help="find the labelled clips of a corpus")
    build.add_argument("corpus", metavar="CORPUS", help="ravdess, crema-d, savee, ... (vidfer manifest list)")
    build.add_argument("folder", metavar="DIR", help="the corpus, unpacked")
    build.add_argument("--out", required=True, metavar="FILE.csv")
    build.add_argument("--fold", type=int, default=1, metavar="N", help="official fold (DFEW: 1 to 5)")
    build.add_argument("--no-digests", action="store_true", help="do not read every video once for its sha256")
    check = actions.add_parser("check", help="check a manifest row by row")
    check.add_argument("file", metavar="FILE.csv")
    check.add_argument("--root", metavar="DIR", help="folder that relative paths start from")
    listing = actions.add_parser("list", help="corpora, licences, where to get them")
    for action in (build, check, listing):
        _verbosity(action)


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "network",
        nargs="?",
        choices=["emotion-cnn", "temporal"],
        default="emotion-cnn",
        help="what is measured; temporal: a sequence model on the videos of a manifest",
    )
    parser.add_argument(
        "--model", default="", metavar="NAME", help="of temporal: gru (default), lstm, tcn, hmm, ema, median, none"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", metavar="DIR", help="folder with FER2013 and the votes of FER+")
    source.add_argument("--manifest", metavar="FILE.csv", help="labelled pictures or videos: docs/data.md")
    parser.add_argument(
        "--split", metavar="NAME", help="of FER2013 (default: PublicTest), or of the manifest (default: test), or all"
    )
    parser.add_argument(
        "--labels", choices=["ferplus", "fer2013"], default="ferplus", help="with --data; default: ferplus"
    )
    parser.add_argument(
        "--folds", type=int, default=0, metavar="K", help="with --manifest: cross-validation by subject, over all rows"
    )
    parser.add_argument("--backbone", default="", metavar="NAME", help="default: what the weights were made for")
    parser.add_argument("--weights", default="", metavar="FILE", help="your own weights; default: the embedded ones")
    parser.add_argument("--out", default="evaluation", metavar="DIR", help="for metrics.json and pictures")
    _corpus_arguments(parser)
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:i]")
    _verbosity(parser)


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", metavar="CLIP", help="a video")
    parser.add_argument("--frame", type=int, required=True, metavar="N", help="as in timeline.csv, from 1")
    parser.add_argument("--out", metavar="FILE.png", help="default: CLIP-frameN.png here")
    parser.add_argument("--pipeline", default="default", metavar="NAME|FILE.toml")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    _verbosity(parser)


def _sample_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="DIR", help="where to put sample.mp4")
    _verbosity(parser)


def _verbosity(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quiet", "-q", action="store_true", help="errors only")
    group.add_argument("--verbose", "-v", action="store_true", help="tracebacks and details")


if __name__ == "__main__":
    sys.exit(main())
