"""What each command is for and the arguments that it takes; imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable

STAGES = ("faces", "embeddings", "tracks", "emotions")
EXPORTS = (
    *("csv", "parquet", "segments", "summary", "chart", "report"),  # what the default pipeline writes
    *("openface", "fex", "elan", "vtt", "json", "chart-svg", "chart-pdf", "overlay"),
)


def _process_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Example: vidfer process videos/ --out results/ --fps 10 --export csv,segments,openface"
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a video, a folder (searched recursively) or a glob")
    parser.add_argument("--out", required=True, metavar="DIR", help="results folder; a second run goes on there")
    how = parser.add_argument_group("what is computed")
    _pipeline_arguments(how)
    how.add_argument("--fps", type=float, metavar="N", help="frames looked at per second of video; default: every")
    how.add_argument(
        "--people",
        choices=["all", "largest", "main"],
        help="who counts in summaries, unless people.csv says else; default: all; main: the one seen longest",
    )
    how.add_argument("--strict", action="store_true", help="a truncated or damaged video is a failure")
    how.add_argument(
        "--force",
        nargs="?",
        const="faces",
        type=_stage,
        metavar="STAGE",
        help=f"compute again from this stage on ({', '.join(STAGES)}; without a name: everything)",
    )
    how.add_argument("--retry-failed", action="store_true", help="try videos again that are known to be bad")
    written = parser.add_argument_group("what is written")
    _export_argument(written, default="the pipeline's")
    written.add_argument("--no-plots", action="store_true", help="tables only, no charts and reports")
    _chart_arguments(written)
    machine = parser.add_argument_group("where it runs")
    machine.add_argument("--device", metavar="auto|cpu|cuda[:i]", help="default: auto")
    machine.add_argument("--jobs", type=int, metavar="N", help="videos at a time; default: from the machine")
    machine.add_argument("--decoder", choices=["auto", "decord", "pyav"], help="default: auto")
    machine.add_argument(
        "--engine",
        choices=["local", "ray", "slurm"],
        default="local",
        help="this machine (default), Ray, or SLURM; see docs/scaling.md",
    )
    machine.add_argument(
        "--address",
        metavar="auto|HOST:PORT",
        help="with --engine ray: the cluster; auto: the one that ray start began here; default: this machine alone",
    )
    parser.add_argument("--events", metavar="FILE", help="append every progress event to FILE, as JSON lines")
    _verbosity(parser)


def _stage(name: str) -> str:
    if name in STAGES:
        return name
    from vidfer.pipeline import declared_stages

    known = [stage.name for stage in declared_stages()]
    if name not in known:
        raise argparse.ArgumentTypeError(
            f"expected a stage ({', '.join(known)}) or nothing, got {name!r}; for everything give it after the paths"
        )
    return name


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="DIR", help="a results folder")
    _export_argument(parser, default="those of the last run but videos")
    parser.add_argument(
        "--clip", action="append", default=[], metavar="NAME", help="only this clip, or a pattern; repeatable"
    )
    parser.add_argument(
        "--people",
        metavar="FILE",
        help="take these rows into people.csv, such as a report page saves; see docs/people.md",
    )
    parser.add_argument(
        "--align",
        choices=["start", "fraction"],
        default="start",
        help="average over clips: all from their start (default), or stretched to one length",
    )
    _chart_arguments(parser)
    _verbosity(parser)


def _pipeline_arguments(parser: argparse._ArgumentGroup | argparse.ArgumentParser, *, when: str = "") -> None:
    parser.add_argument(
        "--pipeline",
        default="default",
        metavar="NAME|FILE.toml",
        help=f"{when}default, fast (10 frames a second), accurate (large networks, fetched by you), or your own file",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help=f"{when}override one setting, e.g. faces.min_score=0.6; repeatable; all of them: docs/settings.md",
    )


def _export_argument(parser: argparse._ArgumentGroup | argparse.ArgumentParser, *, default: str) -> None:
    parser.add_argument(
        "--export",
        metavar="NAME[,NAME...]",
        help=f"files to write: {', '.join(EXPORTS)}; default: {default}",
    )
    parser.add_argument(
        "--blur-faces", action="store_true", help="with --export overlay: hide the faces found, keep boxes and bars"
    )


def _chart_arguments(parser: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--chart", choices=["auto", "lines", "areas"], help="instead of the settings'; auto: areas above five minutes"
    )
    parser.add_argument(
        "--chart-size",
        choices=["screen", "paper"],
        help="paper: charts for a column of 85 mm, 300 dpi; for print also --export chart-svg,chart-pdf",
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
    networks = ["detector", "landmarks", "quality", "emotion-cnn", "temporal"]
    parser.add_argument("network", choices=networks, metavar="NETWORK", help=", ".join(networks))
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
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:i]", help="default: auto")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="cores to use; default: all")
    _verbosity(parser)


def _corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says how the videos of a manifest are worked on."""
    parser.add_argument("--root", metavar="DIR", help="folder that the manifest's relative paths start from")
    parser.add_argument(
        "--clips", metavar="DIR", help="results folder that keeps what is computed of the videos; default: OUT/clips"
    )
    _pipeline_arguments(parser, when="with --manifest: ")


def _manifest_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser("build", help="find the labelled clips of a corpus")
    build.add_argument("corpus", metavar="CORPUS", help="ravdess, crema-d, savee, ... (vidfer manifest list)")
    build.add_argument("folder", metavar="DIR", help="the corpus, unpacked")
    build.add_argument("--out", required=True, metavar="FILE.csv", help="the manifest to write")
    build.add_argument("--fold", type=int, default=1, metavar="N", help="official fold (DFEW: 1 to 5)")
    build.add_argument("--no-digests", action="store_true", help="do not read every video once for its sha256")
    check = actions.add_parser("check", help="check a manifest row by row")
    check.add_argument("file", metavar="FILE.csv", help="the manifest")
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
        metavar="NETWORK",
        help="emotion-cnn (default): single faces; temporal: a sequence model on the videos of a manifest",
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
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:i]", help="default: auto")
    _verbosity(parser)


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", metavar="CLIP", help="a video")
    parser.add_argument("--frame", type=int, required=True, metavar="N", help="as in timeline.csv, from 1")
    parser.add_argument("--out", metavar="FILE.png", help="default: CLIP-frameN.png here")
    _pipeline_arguments(parser)
    _verbosity(parser)


def _sample_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="DIR", help="where to put sample.mp4")
    _verbosity(parser)


def _verbosity(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quiet", "-q", action="store_true", help="errors only")
    group.add_argument("--verbose", "-v", action="store_true", help="tracebacks and details")


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "process": ("turn videos into expression timelines", _process_arguments),
    "report": ("write charts, pages and tables of finished clips again, without opening a video", _report_arguments),
    "status": ("say what is done, stale or failed in a results folder", _status_arguments),
    "manifest": ("build and check tables of labelled clips", _manifest_arguments),
    "train": ("train one of the networks by a recipe, or continue a stopped training", _train_arguments),
    "evaluate": ("measure a network on labelled faces or videos", _evaluate_arguments),
    "explain": ("show what the per-frame network saw in one frame", _explain_arguments),
    "sample": ("make a small sample video to try things on", _sample_arguments),
}
