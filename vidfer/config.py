"""Pipeline settings: TOML into typed, strict sections.

Each section is the part of the configuration that one stage depends on, so that a stage's cache key covers
exactly the settings that can change its result. ``[run]`` holds what cannot (device, workers, checkpoints).
"""

from __future__ import annotations

import difflib
import math
import reprlib
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    create_model,
    model_validator,
)

from vidfer.errors import ConfigError
from vidfer.plugins import entry_points_of


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class ComponentOptions(Section):
    """Base of the options that a component has to itself, ``[section.name]``; its factory gets each by its name."""


SectionT = TypeVar("SectionT", bound="Section")

BLINKS = "blinks"  # the export of what [movements] finds
MAX_PROBLEMS = 3  # named in one message


class VideoConfig(Section):
    """``[video]``: which frames are read, and how."""

    decoder: Literal["auto", "decord", "pyav"] = Field("auto", description="auto: decord where it reads the video")
    fps: float = Field(0.0, ge=0.0, le=1000.0, description="frames sampled per second of video; 0 = every frame")
    stream: int = Field(-1, ge=-1, description="number of the video stream in the file; -1 = default, then the longest")
    rotation: Literal["auto", 0, 90, 180, 270] = Field(
        "auto", description="degrees clockwise to turn the picture by, beyond what its file says; auto: as faces stand"
    )
    strict: bool = Field(
        False,
        description="a truncated or damaged video is a failure; auto is pyav then: decord hides damaged pictures",
    )

    @property
    def reader(self) -> Literal["auto", "decord", "pyav"]:
        """``decoder``, or what ``strict`` makes of auto."""
        return "pyav" if self.strict and self.decoder == "auto" else self.decoder


class FacesConfig(Section):
    """``[faces]``: finding faces and their landmarks."""

    detector: str = Field(
        "embedded", description="or sfd, retinaface, scrfd, yunet, blazeface (face-alignment's), mtcnn, haar"
    )
    landmarks: str = Field("embedded", description="or 2dfan4, 3dfan4 (face-alignment's)")
    long_side: int = Field(
        0, ge=0, le=4096, description="frames are shrunk to this before detection, px; 0 = follows the picture"
    )
    min_score: float = Field(0.5, ge=0.0, le=1.0, description="the detector's; raise it against false faces")
    min_landmark_score: float = Field(0.5, ge=0.0, le=1.0, description="`confidence` in the tables")
    min_size: float = Field(16.0, ge=1.0, description="smaller faces are ignored, px of the source frame")
    max_faces: int = Field(64, ge=1, description="per frame: those seen before, then the best by score")
    detect_every: int = Field(8, ge=1, description="frames from one detection to the next; 1 = detect in each")
    detector_weights: str = Field("", description="file with your own weights for the detector")
    landmark_weights: str = Field("", description="file with your own weights for the landmark network")
    quality_weights: str = Field("", description="file with your own weights for `quality`: fit it to your backbone")


class TracksConfig(Section):
    """``[tracks]``: who is who over time."""

    min_iou: float = Field(0.2, ge=0.0, le=1.0, description="overlap of a face's successive boxes")
    max_gap_seconds: float = Field(1.0, ge=0.0, description="a face may be lost for this long and keep its id")
    min_duration_seconds: float = Field(
        0.2, ge=0.0, description="shorter tracks are dropped, if the clip is not as short"
    )
    start_score: float = Field(0.65, ge=0.0, le=1.0, description="tracks never seen this clearly are dropped")


class PeopleConfig(Section):
    """``[people]``: the same person throughout a clip, and who counts."""

    link: bool = Field(True, description="tell people apart and find them again within a clip")
    min_confidence: float = Field(0.9, ge=0.5, le=1.0, description="of a link; tracks with a weaker one stay apart")
    network: str = Field("embedded", description="gives each face the vector by which faces are compared")
    weights: str = Field("", description="file with your own weights")
    keep_vectors: bool = Field(False, description="keep the vectors in the cache when a clip is complete")
    across: Literal["none", "folder"] = Field(
        "none", description="folder: find the same person in several clips of the results folder; needs keep_vectors"
    )
    which: Literal["all", "largest", "main"] = Field(
        "all", description="who counts in summaries unless people.csv says else; main: the one seen longest"
    )
    min_seconds: float = Field(0.0, ge=0.0, description="who is seen for less does not count")
    min_quality: float = Field(0.0, ge=0.0, le=1.0, description="nor who has a lower mean quality")

    @model_validator(mode="after")
    def _vectors_are_there(self) -> Self:
        if self.compares_clips and not (self.link and self.keep_vectors):
            raise ValueError(
                'across = "folder" compares clips by vectors that are removed when a clip is complete, unless '
                "people.keep_vectors = true (and people.link = true): set both, docs/privacy.md says what that means"
            )
        return self

    @property
    def compares_clips(self) -> bool:
        """Whether people of different clips are compared."""
        return self.across == "folder"

    def who_counts(self) -> dict[str, str | float]:
        """Return what decides who counts, JSON-ready: no stage depends on it, summaries do."""
        return self.model_dump(mode="json", include={"which", "min_seconds", "min_quality"})


class BackboneConfig(Section):
    """``[backbone]``: the per-frame network."""

    name: str = Field("compact", description="others need weights of your own: docs/data.md")
    weights: str = Field("", description="file with your own weights")


class EmaOptions(ComponentOptions):
    """``[temporal.ema]``"""

    time_constant_seconds: float = Field(0.3, gt=0.0, description="longer is smoother; weights fall by e in this time")


class TemporalConfig(Section):
    """``[temporal]``: the sequence model."""

    name: str = Field(
        "gru", description="or hmm, ema, median, none; lstm, tcn and transformer need weights of your own"
    )
    weights: str = Field("", description="file with your own weights")
    causal: bool = Field(False, description="no row depends on a later one, given the faces; lags 0.2 s")
    window_seconds: float = Field(60.0, gt=0.0, description="tcn and transformer read longer tracks in windows")
    overlap_seconds: float = Field(10.0, gt=0.0, description="of two windows")
    ema: EmaOptions = EmaOptions()

    @property
    def is_network(self) -> bool:
        """Whether the model is one of vidfer's trained networks."""
        return self.name in ("gru", "lstm", "tcn", "transformer")

    @property
    def weights_name(self) -> str:
        """The model's name in the table of weights: a causal network has its own."""
        return temporal_weights_name(self.name, causal=self.causal)


def temporal_weights_name(name: str, *, causal: bool) -> str:
    """Return the name under which the table of weights knows a sequence model."""
    return f"{name}_causal" if causal else name


class ClassPrior(Section):
    """``[emotions.prior]``: how often each expression is expected, in any unit."""

    neutral: float = Field(gt=0.0)
    happiness: float = Field(gt=0.0)
    surprise: float = Field(gt=0.0)
    sadness: float = Field(gt=0.0)
    anger: float = Field(gt=0.0)
    disgust: float = Field(gt=0.0)
    fear: float = Field(gt=0.0)
    contempt: float = Field(gt=0.0)


def _kind_of_prior(value: object) -> str:
    if isinstance(value, dict | ClassPrior):
        return "table"
    return "share" if isinstance(value, int | float) else "name"


def _one_of(*words: str) -> BeforeValidator:
    """Return what checks a baseline: one of these words, or a stretch; a union would name every part that it is not."""

    def checked(value: object) -> str | tuple[float, float]:
        if isinstance(value, str) and value in words:
            return value
        match value:
            case [start, end] if bool not in (type(start), type(end)):
                if isinstance(start, int | float) and isinstance(end, int | float) and 0 <= start < end < math.inf:
                    return float(start), float(end)
        names = ", ".join(repr(word) for word in words)
        raise ValueError(f"expected {names}, or [start, end] in seconds with 0 <= start < end")

    return BeforeValidator(checked)


# When a person is neutral: not known, to be found in the clip, or [start, end] in seconds from the first frame.
Baseline = Annotated[Literal["none", "clip"] | tuple[float, float], _one_of("none", "clip")]


class EmotionsConfig(Section):
    """``[emotions]``: how the probabilities are read."""

    prior: Annotated[
        Annotated[Literal["natural", "balanced"], Tag("name")]
        | Annotated[float, Field(ge=0.0, le=1.0), Tag("share")]
        | Annotated[ClassPrior, Tag("table")],
        Discriminator(_kind_of_prior),
    ] = Field(
        0.25,
        description="expected class shares: those of the training data, all the same (posed expressions), a number of "
        "0 to 1 (so far from the first to the second), or a table",
    )
    baseline: Annotated[Literal["auto", "none", "clip"] | tuple[float, float], _one_of("auto", "none", "clip")] = Field(
        "auto",
        description="a person's own neutral, of which three quarters are taken off: the most neutral third of the "
        "clip, or a stretch [start, end] in seconds from the first frame; auto: clip, but none for causal models and "
        "for networks that do not say how they read neutral faces",
    )


class MovementsConfig(Section):
    """``[movements]``: eyes, gaze, mouth and brows; off by default."""

    enabled: bool = Field(False, description="measure movements of the face")
    network: str = Field("embedded", description="or one of another package")
    weights: str = Field("", description="file with your own weights")
    baseline: Baseline = Field(
        "none",
        description="each person's own neutral, the median over the clip or [start, end] in seconds: adds *_change",
    )


class TimelineConfig(Section):
    """``[timeline]``: from probabilities to episodes."""

    enter_probability: float = Field(
        0.5, gt=0.0, le=1.0, description="an episode of the most likely label begins from here"
    )
    leave_probability: float = Field(
        0.35, gt=0.0, le=1.0, description="it ends below this; what is in no episode is unsure"
    )
    min_duration_seconds: float = Field(0.3, ge=0.0, description="shorter episodes join a neighbour, or are unsure")
    max_gap_seconds: float = Field(0.5, ge=0.0, description="a face missing for longer ends the episode")


class OutputConfig(Section):
    """``[output]``: what is written for each clip."""

    exports: tuple[str, ...] = Field(
        ("csv", "parquet", "segments", "summary", "chart", "report"), description='names, e.g. ["csv", "segments"]'
    )
    chart: Literal["auto", "lines", "areas"] = Field("auto", description="auto: areas for clips over five minutes")
    chart_size: Literal["screen", "paper"] = Field(
        "screen", description="paper: a column of 85 mm, letters of 7 pt, PNG of 300 dpi; SVG and PDF by their exports"
    )
    lanes: bool = Field(True, description="charts show eyes, mouth and brows under the emotions, if they are measured")
    thumbnails: bool = Field(False, description="show the face at the peak of its episodes; keeps pictures of faces")
    highlight_margin_seconds: float = Field(
        2.0, gt=0.0, le=60.0, description="--export highlights: seconds before and after the peak"
    )
    highlights_per_person: int = Field(
        3, ge=1, le=1000, description="--export highlights: the strongest moments of each"
    )


class NetworksConfig(Section):
    """``[networks]``: what runs the networks."""

    runtime: Literal["torch", "onnx"] = Field("torch", description="onnx: ONNX Runtime, on the CPU, without torch")
    folder: str = Field("", description="for onnx: the folder that `vidfer export onnx --out` wrote")


class RunConfig(Section):
    """``[run]``: how it is computed; never part of a cache key."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    jobs: int = Field(0, ge=0, description="videos at a time; 0 = chosen from the machine")
    segment_frames: int = Field(256, ge=16, multiple_of=16, description="frames per checkpoint")
    timeout_seconds: float = Field(120.0, gt=0.0, description="a worker silent for this long is killed")
    retries: int = Field(1, ge=0, description="further tries after a crash or a hang")
    longest_seconds: float = Field(0.0, ge=0.0, description="a longer video is a failure; 0 = any length")


class LiveConfig(Section):
    """``[live]``: how ``vidfer live`` waits for a network source; changes no result."""

    open_timeout_seconds: float = Field(10.0, gt=0.0, description="a source that takes longer to open is given up")
    read_timeout_seconds: float = Field(10.0, gt=0.0, description="one without a picture for so long counts as lost")
    longest_delay_seconds: float = Field(
        30.0, gt=0.0, description="a lost source is tried again after 0.5 s, 1 s, 2 s, ... and so on up to this"
    )


class ServeConfig(Section):
    """``[serve]``: what ``vidfer serve`` takes from its clients; changes no result."""

    jobs: int = Field(1, ge=1, description="videos at a time")
    max_queue: int = Field(100, ge=1, description="videos that wait or are being sent; more are refused")
    max_upload_mib: int = Field(2048, ge=1, description="a larger video is refused")
    max_upload_seconds: float = Field(7200.0, gt=0.0, description="an upload that takes longer is cut off")
    max_video_seconds: float = Field(7200.0, gt=0.0, description="the job of a longer video fails")
    max_job_seconds: float = Field(14400.0, gt=0.0, description="a job that takes longer fails")
    max_picture_mib: int = Field(10, ge=1, le=1024, description="a larger picture is refused")
    max_megapixels: float = Field(40.0, gt=0.0, description="a picture of more pixels is refused before it is decoded")
    max_streams: int = Field(4, ge=0, description="WebSocket streams at a time")
    requests_per_second: float = Field(50.0, gt=0.0, description="of one address; bursts of ten times as many pass")
    idle_seconds: float = Field(
        30.0, gt=0.0, description="an upload or stream that is silent for so long is cut off; likewise other requests"
    )
    keep_hours: float = Field(0.0, ge=0.0, description="a job that has been over for so long is deleted; 0 = never")
    hosts: tuple[str, ...] = Field(
        (), description="names that clients may call the server by, e.g. behind a proxy; loopback's are known"
    )


class GroupResources(Section):
    """What one video needs of a machine while a group of stages works on it, with --engine ray or slurm."""

    num_cpus: float = Field(1.0, gt=0.0, description="cores; also its threads")
    num_gpus: float = Field(0.0, ge=0.0, description="0.25: four videos share a GPU")
    memory_gib: float = Field(4.0, gt=0.0, description="a worker that holds more is ended")


class ResourcesConfig(Section):
    """``[resources.frames]``: videos with frames to compute; ``[resources.clips]``: those whose frames are cached."""

    frames: GroupResources = GroupResources()
    clips: GroupResources = GroupResources()


class PipelineConfig(Section):
    """A whole pipeline file: the sections of vidfer's own stages; see ``pipeline_model``."""

    video: VideoConfig = VideoConfig()
    faces: FacesConfig = FacesConfig()
    tracks: TracksConfig = TracksConfig()
    people: PeopleConfig = PeopleConfig()
    backbone: BackboneConfig = BackboneConfig()
    temporal: TemporalConfig = TemporalConfig()
    emotions: EmotionsConfig = EmotionsConfig()
    movements: MovementsConfig = MovementsConfig()
    timeline: TimelineConfig = TimelineConfig()
    output: OutputConfig = OutputConfig()
    networks: NetworksConfig = NetworksConfig()
    run: RunConfig = RunConfig()
    live: LiveConfig = LiveConfig()
    serve: ServeConfig = ServeConfig()
    resources: ResourcesConfig = ResourcesConfig()

    @model_validator(mode="after")
    def _blinks_are_measured(self) -> Self:
        if BLINKS in self.output.exports and not self.movements.enabled:
            raise ValueError(f"the export {BLINKS} needs movements.enabled=true")
        return self

    @property
    def exports(self) -> tuple[str, ...]:
        """What is written for each clip: ``output.exports``, and with the episodes the blinks if they are measured."""
        named = self.output.exports
        blinks = self.movements.enabled and "segments" in named and BLINKS not in named
        return (*named, BLINKS) if blinks else named

    def __reduce__(self) -> tuple[Any, ...]:
        """Let workers build it anew: they load the stages that its sections belong to themselves."""
        return _pipeline_config, (self.model_dump(),)


_sections: dict[str, type[Section]] = {}  # of stages from outside the package
_SECTION_OF = {"detectors": "faces", "landmarks": "faces", "backbones": "backbone", "temporal": "temporal"}


def register_section(name: str, kind: type[Section]) -> None:
    """Let pipelines have a section for a stage from outside the package; raises ConfigError if the name is taken."""
    if name in PipelineConfig.model_fields or _sections.get(name, kind) is not kind:
        raise ConfigError(f"there is a section [{name}] already: choose another name")
    _sections[name] = kind


def pipeline_model() -> type[PipelineConfig]:
    """Return PipelineConfig with the sections of all stages, and the options of all components, from outside."""
    for load in entry_points_of("vidfer.stages").values():
        declaration = load()
        if declaration.options is not None:
            register_section(declaration.section, declaration.options)
    more = _sections | _sections_with_options()
    return _with_fields(PipelineConfig, tuple(more.items())) if more else PipelineConfig


@cache
def _sections_with_options() -> dict[str, type[Section]]:
    """Return the sections of components from outside the package that have options of their own."""
    found: dict[str, dict[str, type[Section]]] = {}
    for point, load in entry_points_of("vidfer.options").items():
        family, _, name = point.partition(".")
        if family not in _SECTION_OF or not name:
            raise ConfigError(f"vidfer.options {point!r}: expected {' or '.join(f'{of}.NAME' for of in _SECTION_OF)}")
        section = _SECTION_OF[family]
        if name in PipelineConfig.model_fields[section].annotation.model_fields:  # type: ignore[union-attr]
            raise ConfigError(f"vidfer.options {point!r}: [{section}] has a key {name!r} already: choose another name")
        found.setdefault(section, {})[name] = load()
    return {
        section: _with_fields(PipelineConfig.model_fields[section].annotation, tuple(options.items()))  # type: ignore[arg-type]
        for section, options in found.items()
    }


@cache
def _with_fields(kind: type[SectionT], sections: tuple[tuple[str, type[Section]], ...]) -> type[SectionT]:
    fields: dict[str, Any] = {name: (of, of()) for name, of in sections}
    return create_model(kind.__name__, __base__=kind, **fields)


def options_of(section: Section, component: str) -> dict[str, Any]:
    """Return the options that a component has to itself, for its factory; empty for one that has none."""
    options = getattr(section, component, None)
    return dict(options) if isinstance(options, ComponentOptions) else {}


def unused_options(section: Section) -> set[str]:
    """Return the keys that hold options of components which the section does not name."""
    values = dict(section)
    names = {value for value in values.values() if isinstance(value, str)}
    return {key for key, value in values.items() if isinstance(value, ComponentOptions) and key not in names}


def _pipeline_config(values: dict[str, Any]) -> PipelineConfig:
    return parse_section(pipeline_model(), values)


def pipelines_folder() -> Path:
    """Return the folder of the pipelines that come with vidfer: in the wheel, or in the checkout."""
    packaged = Path(str(resources.files("vidfer"))) / "pipelines"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parent.parent / "pipelines"


def load_pipeline(name_or_file: str = "default", settings: Sequence[str] = ()) -> PipelineConfig:
    """Read a pipeline by name or file and apply ``section.key=value`` settings over it.

    Raises
    ------
    ConfigError
        For a missing file, TOML that does not parse, an unknown key (with the nearest match) or a bad value.
    """
    path = find_pipeline(name_or_file)
    data = read_toml(path)
    config = parse_section(pipeline_model(), data, source=str(path))
    return with_settings(config, settings) if settings else config


def with_settings(config: PipelineConfig, settings: Sequence[str]) -> PipelineConfig:
    """Return a pipeline with ``section.key=value`` settings applied over it; raises ConfigError."""
    values = config.model_dump()
    for setting in settings:
        _apply_setting(values, setting)
    return parse_section(pipeline_model(), values)


def find_pipeline(name_or_file: str) -> Path:
    """Return the file of a pipeline given by name (``default``) or by path (``my.toml``)."""
    given, folder = Path(name_or_file), pipelines_folder()
    known = sorted(p.stem for p in folder.glob("*.toml"))
    if given.suffix == ".toml":
        if given.is_file():
            return given
        own = f": vidfer's own pipelines go by name: {', '.join(known)}" if given.stem in known else ""
        raise ConfigError(f"pipeline file {given} does not exist{own}")
    if name_or_file in known:
        return folder / f"{name_or_file}.toml"
    raise ConfigError(f"unknown pipeline {name_or_file!r}. Known: {', '.join(known)}; or give a .toml file.")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the parsed file; raises ConfigError naming file and line."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: a number may be too long to be read
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def parse_section(kind: type[SectionT], data: dict[str, Any], *, source: str = "") -> SectionT:
    """Build a typed config from parsed TOML.

    Raises
    ------
    ConfigError
        Names every problem with ``source`` (the file, if it is one), section, key and nearest match.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problems = [_describe(problem, kind) for problem in error.errors()]
        more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
        where = f"{source}: " if source else ""
        raise ConfigError(f"{where}{'; '.join(problems[:MAX_PROBLEMS])}{more}") from None


def _apply_setting(data: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    *sections, name = key.strip().split(".")
    if not (equals and name and sections and all(sections)):
        known = pipeline_model().model_fields
        meant = [f"{section}.{name}" for section in known if name in _keys_of(section)]
        hint = ""
        if name in known:
            hint = f"; {name} is a section with the keys {', '.join(_keys_of(name))}"
        elif meant and not sections:
            hint = f"; did you mean {' or '.join(meant)}?"
        raise ConfigError(f"--set {setting!r}: expected section.key=value, e.g. --set faces.min_score=0.6{hint}")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()  # a bare word is a string
    table = data
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {setting!r}: {section} is not a section")
    table[name] = value


_EXPECTED = {
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "a whole number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "a section of its own, with keys"),
    "finite_number": "a finite number",
    "string_type": "text",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "multiple_of": "a multiple of {multiple_of:g}",
}


def _describe(problem: Any, kind: type[Section]) -> str:
    """Return one of pydantic's problems in our words: where, expected, got."""
    location = [str(part)[:60] for part in problem["loc"]] or ["settings"]
    where = f"[{'.'.join(location[:-1])}] {location[-1]}" if len(location) > 1 else location[0]
    is_section = isinstance(problem["input"], dict)
    if problem["type"] == "missing":
        return f"{where}: missing"
    if problem["type"] == "extra_forbidden":
        known = _keys_beside(kind, location)
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
        what = "section" if is_section and len(location) == 1 else "key"
        return f"{where}: unknown {what}{hint}"
    meaning = _meaning(kind, location)
    if problem["type"] == "string_pattern_mismatch" and meaning:
        return f"{where}: expected {meaning}, got {reprlib.repr(problem['input'])}"
    if problem["type"] in _EXPECTED:
        expected = f"expected {_EXPECTED[problem['type']].format(**problem.get('ctx', {}))}"
    else:
        expected = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:  # of several sections together
        return expected
    return f"{where}: {expected}, got {reprlib.repr(problem['input'])}" + (f" ({meaning})" if meaning else "")


def _meaning(kind: type[BaseModel], location: list[str]) -> str:
    """Return what a key is for, as its field says; empty for one that is not there."""
    section = _section_at(kind, location[:-1])
    field = section.model_fields.get(location[-1]) if section else None
    return (field.description or "") if field else ""


def _keys_beside(kind: type[BaseModel], location: list[str]) -> list[str]:
    section = _section_at(kind, location[:-1])
    return sorted(section.model_fields) if section else []


def _keys_of(section: str) -> list[str]:
    return _keys_beside(pipeline_model(), [section, ""])


def _section_at(kind: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    for part in path:
        field = kind.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return None
        kind = field.annotation
    return kind
