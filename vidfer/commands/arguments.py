"""What each command is for and the arguments that it takes; imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from vidfer.labels import EMOTIONS

STAGES = ("faces", "embeddings", "identity", "tracks", "people", "track_vectors", "emotions", "movements")
EXPORTS = (
    *("csv", "parquet", "segments", "summary", "chart", "report"),  # what the default pipeline writes
    *("openface", "fex", "elan", "textgrid", "emotionml", "netcdf", "vtt", "json"),
    *("chart-svg", "chart-pdf", "blinks", "overlay", "highlights"),
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
        "--blur-faces", action="store_true", help="with --export overlay or highlights: hide the faces found"
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
    networks = ["detector", "landmarks", "quality", "identity", "movements", "emotion-cnn", "classical", "temporal"]
    parser.add_argument("network", choices=networks, metavar="NETWORK", help=", ".join(networks))
    parser.add_argument("--recipe", default="", metavar="FILE.toml|NAME", help="see pipelines/train")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", metavar="DIR", help="folder with the data files that the recipe names")
    source.add_argument(
        "--manifest",
        metavar="FILE.csv",
        help="emotion-cnn, classical, temporal: your labelled data; docs/data.md",
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
    elan = actions.add_parser("from-elan", help="labels that people wrote in ELAN (.eaf) or Praat (.TextGrid)")
    elan.add_argument("files", nargs="+", metavar="FILE", help="one for each video")
    elan.add_argument("--out", required=True, metavar="FILE.csv", help="the manifest to write")
    elan.add_argument("--tier", action="append", default=[], metavar="NAME", help="only this tier; repeatable")
    elan.add_argument("--video", metavar="FILE", help="of one file; default: what it names, or the video beside it")
    listing = actions.add_parser("list", help="corpora, licences, where to get them")
    for action in (build, check, elan, listing):
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
        "--model",
        default="",
        metavar="NAME",
        help="of temporal: gru (default), lstm, tcn, transformer, hmm, ema, median, none",
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
    parser.add_argument(
        "--by",
        default="",
        metavar="COLUMN[,COLUMN]",
        help="with --manifest: figures by group, from further columns of it",
    )
    parser.add_argument(
        "--baseline",
        action="store_true",
        help="with --manifest: figures, too, of each row read against its person's own neutral (subject_id): by the "
        "rows labelled neutral, and by those that look so",
    )
    parser.add_argument(
        "--match-shares",
        action="store_true",
        help="with --manifest: figures, too, of all rows read together, as a set of stimuli of which it is known how "
        "often each label occurs, but not where",
    )
    parser.add_argument("--backbone", default="", metavar="NAME", help="default: what the weights were made for")
    parser.add_argument("--weights", default="", metavar="FILE", help="your own weights; default: the embedded ones")
    parser.add_argument("--out", default="evaluation", metavar="DIR", help="for metrics.json and pictures")
    _corpus_arguments(parser)
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:i]", help="default: auto")
    _verbosity(parser)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "format",
        choices=["onnx", "web", "executorch"],
        help="onnx: for ONNX Runtime; web: a page that runs them in a browser; executorch: for phones",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="where to write the files")
    parser.add_argument(
        "--runtime",
        default="",
        metavar="PACKAGE",
        help="with web: the npm package onnxruntime-web, its folder or .tgz; default: npm fetches it",
    )
    parser.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        help="mean over a face and its mirror image, twice the time; default: as the weights say",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="not with executorch: networks that run on every face in 8 bits, where that loses little",
    )
    parser.add_argument(
        "--calibrate",
        action="append",
        default=[],
        metavar="VIDEO",
        help="with --int8: whose faces set the ranges; repeatable; default: vidfer's own sample",
    )
    _pipeline_arguments(parser)
    parser.set_defaults(pipeline="")
    _verbosity(parser)


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", metavar="CLIP", help="a video")
    parser.add_argument("--frame", type=int, required=True, metavar="N", help="as in timeline.csv, from 1")
    parser.add_argument("--out", metavar="FILE.png", help="default: CLIP-frameN.png here")
    parser.add_argument("--emotion", choices=EMOTIONS, help="what is explained; default: the most probable one")
    parser.add_argument(
        "--attention", action="store_true", help="also where the network looks: what it says with parts covered"
    )
    parser.add_argument(
        "--feature-maps", metavar="LAYER|all", help="of the first face, also what a layer makes of it, or all layers"
    )
    parser.add_argument(
        "--over-time",
        action="store_true",
        help="also FILE-time.png: the seconds from which the sequence model reads it; looks at the whole video",
    )
    _pipeline_arguments(parser)
    _verbosity(parser)


def _study_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = actions.add_parser("init", help="propose a study file from the names of the clips")
    init.add_argument("folder", metavar="DIR", help="a folder of videos, or of results")
    init.add_argument("--out", default="study.toml", metavar="FILE.toml", help="default: study.toml")
    run = actions.add_parser("run", help="tables, comparisons, pictures, study.html and methods.md")
    run.add_argument("results", metavar="RESULTS", help="a results folder")
    run.add_argument("--out", metavar="DIR", help="default: RESULTS/study")
    run.add_argument("--export", action="append", default=[], choices=["bids"], help="bids: derivatives in OUT/bids")
    power = actions.add_parser("power", help="how many participants are needed, simulated from a pilot")
    power.add_argument("results", metavar="RESULTS", help="of the pilot")
    power.add_argument("--measure", default="mean_probability", metavar="NAME", help="default: mean_probability")
    power.add_argument("--emotion", required=True, metavar="NAME", help="e.g. happiness")
    power.add_argument("--effect", type=float, required=True, metavar="D", help="in standard deviations, e.g. 0.5")
    power.add_argument("--power", type=float, default=0.8, metavar="SHARE", help="wanted; default: 0.8")
    agree = actions.add_parser("agree", help="agreement of people who labelled, with each other and with vidfer")
    agree.add_argument("labels", nargs="+", metavar="LABELS.csv", help="of one coder each, or with a column annotator")
    agree.add_argument("--results", required=True, metavar="RESULTS", help="a results folder")
    agree.add_argument("--tolerance", type=float, default=0.5, metavar="S", help="of an episode's ends; default: 0.5")
    agree.add_argument("--out", metavar="DIR", help="default: RESULTS/study")
    for action in (run, power, agree):
        action.add_argument("--study", required=True, metavar="FILE.toml", help="the study file")
    for action in (init, run, power, agree):
        _verbosity(action)


def _fuse_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Example: vidfer fuse results/ --with voice.csv --out fused/ --weight 0.3"
    parser.add_argument("results", metavar="RESULTS", help="a results folder")
    parser.add_argument(
        "--with", dest="scores", required=True, metavar="FILE.csv", help="scores over time; columns: docs/guide.md"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="for CLIP/timeline.csv and fusion.json")
    weight = parser.add_mutually_exclusive_group()
    weight.add_argument("--weight", type=float, default=0.5, metavar="W", help="of the scores, 0 to 1; default: 0.5")
    weight.add_argument("--learn", metavar="FILE.csv", help="learn the weight on a labelled manifest: docs/data.md")
    parser.add_argument(
        "--pool",
        choices=["log", "mean"],
        default="log",
        help="weighted mean of log-probabilities (default) or of probabilities",
    )
    _verbosity(parser)


def _sample_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="DIR", help="where to put sample.mp4")
    _verbosity(parser)


def _live_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Example: vidfer live rtsp://camera.local/stream --out results/ | jq .faces"
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a camera (0, /dev/video0), a URL (rtsp, http, udp, tcp), a file, screen[:X,Y,WxH], or - for stdin",
    )
    parser.add_argument(
        "--policy",
        choices=["latest", "all"],
        help="latest: pass over frames that came while another was looked at (default but for files and pipes); "
        "all: look at every frame, however late",
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after so long; default: Ctrl-C")
    parser.add_argument(
        "--websocket",
        type=int,
        metavar="PORT",
        help="also send the lines to ws://127.0.0.1:PORT, and show picture and chart at http://127.0.0.1:PORT",
    )
    parser.add_argument("--lsl", metavar="NAME", help="also send faces as a stream of the Lab Streaming Layer")
    parser.add_argument("--osc", metavar="HOST:PORT", help="also send faces as Open Sound Control messages over UDP")
    raw = parser.add_argument_group("raw frames on standard input")
    raw.add_argument("--size", metavar="WxH", help="with -: raw frames of this size; without it a container")
    raw.add_argument("--fps", type=float, metavar="N", help="with --size; default: 30")
    raw.add_argument("--pixel-format", metavar="NAME", help="with --size, as FFmpeg calls it; default: rgb24")
    kept = parser.add_argument_group("what is kept")
    kept.add_argument("--out", metavar="DIR", help="also write the tables of vidfer process, below DIR")
    kept.add_argument("--name", metavar="NAME", help="folder below DIR; default: live- and the time")
    kept.add_argument("--record", action="store_true", help="also keep the video; it shows people")
    _export_argument(kept, default="the pipeline's")
    how = parser.add_argument_group("what is computed")
    _pipeline_arguments(how)
    how.set_defaults(pipeline="live")
    how.add_argument("--device", metavar="auto|cpu|cuda[:i]", help="default: auto")
    _verbosity(parser)


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Example: vidfer serve --out jobs/, then open http://127.0.0.1:8000/ in a browser"
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the jobs; started again, they go on")
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="where to listen; default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="default: 8000; 0: any that is free")
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="what clients must show, or $VIDFER_TOKEN; needed for any host but this machine's own",
    )
    parser.add_argument("--root", metavar="DIR", help="let clients name videos below this folder")
    parser.add_argument("--keep-videos", action="store_true", help="keep what was sent when a job is done")
    _pipeline_arguments(parser)
    _verbosity(parser)


def _verbosity(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quiet", "-q", action="store_true", help="errors only")
    group.add_argument("--verbose", "-v", action="store_true", help="tracebacks and details")


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "process": ("turn videos into expression timelines", _process_arguments),
    "live": ("follow expressions in a camera, a network stream or a pipe, as they come", _live_arguments),
    "serve": ("take videos, pictures and streams over HTTP; with a page for browsers", _serve_arguments),
    "report": ("write charts, pages and tables of finished clips again, without opening a video", _report_arguments),
    "status": ("say what is done, stale or failed in a results folder", _status_arguments),
    "study": ("compare conditions over finished clips: tables, statistics, pictures", _study_arguments),
    "fuse": ("put timelines together with scores that others read from voice or text", _fuse_arguments),
    "manifest": ("build and check tables of labelled clips", _manifest_arguments),
    "train": ("train one of the networks by a recipe, or continue a stopped training", _train_arguments),
    "evaluate": ("measure a network on labelled faces or videos", _evaluate_arguments),
    "explain": ("show what the per-frame network saw in one frame", _explain_arguments),
    "export": ("write the networks for other runtimes", _export_arguments),
    "sample": ("make a small sample video to try things on", _sample_arguments),
}
