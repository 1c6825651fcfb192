"""The study file: which clip shows whom in which condition, what happened when, and what is compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from vidfer.config import Section, parse_section, read_toml
from vidfer.labels import EMOTIONS


class StudySection(Section):
    """``[study]``: what it is called, and the seed of all that is drawn by lot."""

    title: str = Field("", description="heading of the page")
    seed: int = Field(1, ge=0, description="of bootstrap, permutations and simulations: same bytes every time")


class ClipsSection(Section):
    """``[clips]``: whom each clip shows, in which condition."""

    pattern: str = Field("", description="regular expression over a clip's whole name, with named groups")
    table: str = Field("", description="CSV: clip, participant, condition; person, start_seconds, end_seconds")
    participants: str = Field("", description="CSV with one row a participant: participant, covariates")
    covariates: tuple[str, ...] = Field((), description="further columns of these tables to carry along")
    exclude: tuple[str, ...] = Field((), description='clips that are no part of it, e.g. ["test/*"]')

    @field_validator("pattern")
    @classmethod
    def _names_participants(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        unknown = sorted(set(groups) - {"participant", "condition"})
        if unknown or (pattern and "participant" not in groups):
            raise ValueError(
                f"expected the groups (?P<participant>...) and (?P<condition>...), not {unknown or 'none'}"
            )
        return pattern


class EventsSection(Section):
    """``[events]``: what happened when."""

    files: tuple[str, ...] = Field((), description="CSV, BIDS _events.tsv, ELAN .eaf or Praat .TextGrid")
    clock: Literal["container", "first_frame", "audio"] = Field("container", description="where second 0 is")
    unit: Literal["seconds", "milliseconds"] = Field("seconds", description="of onset and duration in CSV and TSV")
    tiers: tuple[str, ...] = Field((), description="of ELAN and TextGrid; none: all")
    types: tuple[str, ...] = Field((), description="those to look at; none: all")
    before_seconds: float = Field(1.0, gt=0.0, description="window before the onset: the event's baseline")
    after_seconds: float = Field(3.0, gt=0.0, description="window after the onset")


class BaselineSection(Section):
    """``[baseline]``: what is taken off the probabilities."""

    kind: Literal["none", "before_event", "stretch", "median"] = Field(
        "none", description="before_event: each event's own; stretch, median: of the clip"
    )
    stretch: tuple[float, float] = Field((0.0, 5.0), description="[start, end] in seconds from the first frame")

    @field_validator("stretch")
    @classmethod
    def _is_a_stretch(cls, stretch: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= stretch[0] < stretch[1]:
            raise ValueError("expected [start, end] with 0 <= start < end")
        return stretch


class QualitySection(Section):
    """``[quality]``: what is left out."""

    min_quality: float = Field(0.0, ge=0.0, le=1.0, description="rows of less are left out")
    min_face_share: float = Field(0.5, ge=0.0, le=1.0, description="clips with less of such rows are left out")


class AnalysisSection(Section):
    """``[analysis]``: what is compared, and how."""

    design: Literal["paired", "unpaired", "none"] = Field("none", description="paired: everyone in every condition")
    conditions: tuple[str, ...] = Field((), description="in this order, the reference first; none: all, sorted")
    emotions: tuple[str, ...] = Field(EMOTIONS, min_length=1, description="that are compared and corrected for")
    measures: tuple[str, ...] = Field(
        ("mean_probability", "share_of_time", "episodes_per_minute"),
        min_length=1,
        description="that are compared: columns of participants.csv",
    )
    alpha: float = Field(0.05, gt=0.0, lt=1.0, description="level of tests and (as 1 - alpha) of intervals")
    correction: Literal["holm", "fdr", "none"] = Field("holm", description="over emotions and pairs, for each measure")
    permutations: int = Field(9999, ge=99, le=1_000_000, description="all of them where there are fewer")
    bootstrap: int = Field(4999, ge=99, le=1_000_000, description="samples of participants for intervals")
    min_participants: int = Field(6, ge=3, description="in each condition; no p-value below")
    max_exposure_ratio: float = Field(1.5, ge=1.0, description="of seconds seen between conditions; no p-value above")
    hz: float = Field(10.0, gt=0.0, le=100.0, description="of the clock that courses are brought to")
    mixed_model: bool = Field(False, description="value ~ condition + covariates, participants as random intercepts")

    @field_validator("conditions", "emotions", "measures")
    @classmethod
    def _are_different(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} stands there twice")
        return names

    @field_validator("emotions")
    @classmethod
    def _are_labels(cls, emotions: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in emotions if name not in EMOTIONS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(EMOTIONS)}")
        return emotions


class PicturesSection(Section):
    """``[pictures]``: in which sizes and formats they are drawn."""

    widths_mm: tuple[Literal[85, 180], ...] = Field((85, 180), description="one and two columns of a journal")
    formats: tuple[Literal["png", "svg", "pdf"], ...] = Field(("png", "svg", "pdf"), description="of each picture")


class StudySettings(Section):
    """A whole study file."""

    study: StudySection = StudySection()
    clips: ClipsSection = ClipsSection()
    events: EventsSection = EventsSection()
    baseline: BaselineSection = BaselineSection()
    quality: QualitySection = QualitySection()
    analysis: AnalysisSection = AnalysisSection()
    pictures: PicturesSection = PicturesSection()

    @model_validator(mode="after")
    def _fits_together(self) -> StudySettings:
        if bool(self.clips.pattern) == bool(self.clips.table):
            raise ValueError("[clips] needs either pattern or table to say whom each clip shows")
        if self.baseline.kind == "before_event" and not self.events.files:
            raise ValueError('[baseline] kind "before_event" needs [events] files')
        return self


def load_study(path: str | Path) -> StudySettings:
    """Read a study file.

    Raises
    ------
    ConfigError
        For a missing file, TOML that does not parse, an unknown key (with the nearest match) or a bad value.
    """
    path = Path(path)
    return parse_section(StudySettings, read_toml(path), source=str(path))
