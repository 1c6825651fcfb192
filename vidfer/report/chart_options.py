"""How charts are drawn: what a user may choose, and the pictures of faces that they show on request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from vidfer.labels import EMOTIONS
from vidfer.types.validation import Columns

if TYPE_CHECKING:
    from vidfer.config import OutputConfig

ChartStyle = Literal["auto", "lines", "areas"]
ChartSize = Literal["screen", "paper"]
# White text where it stands out at least as well as black: contrast is 4.5 or more on every colour (WCAG 2.2, 1.4.3).
WHITE_ON = frozenset({"sadness", "contempt"})
INKS = {name: "#fff" if name in WHITE_ON else "#000" for name in EMOTIONS}


@dataclass(frozen=True, kw_only=True)
class ApexFrame(Columns):
    """A face at the peak of an episode.

    Attributes
    ----------
    track_id
        The person.
    emotion
        The episode's label.
    seconds
        When, from the video's first frame.
    picture
        (S, S, 3) uint8 RGB, the face and a little around it.
    probability
        0..1, the label's at that moment: where few fit, the most probable ones are shown.
    """

    track_id: int
    emotion: str
    seconds: float
    picture: Annotated[np.ndarray, "S", "S", 3, np.uint8]
    probability: float


@dataclass(frozen=True, kw_only=True)
class Portrait(Columns):
    """One person at their best: large, clear, facing the camera.

    Attributes
    ----------
    label
        What the person is called.
    include
        Whether the person counts.
    picture
        (S, S, 3) uint8 RGB.
    """

    label: str
    include: bool
    picture: Annotated[np.ndarray, "S", "S", 3, np.uint8]


@dataclass(frozen=True, kw_only=True)
class ChartOptions:
    """What a user may choose about charts and highlights.

    Attributes
    ----------
    style
        ``lines`` (with their band), ``areas`` (stacked), or ``auto``: areas for clips of more than five minutes.
    size
        ``screen``, or ``paper`` for a column of 85 mm.
    lanes
        Whether eyes, mouth and brows are drawn under the emotions, where they are measured.
    apexes
        Faces at the peaks of episodes, in order of time, drawn under the axis; none unless asked for.
    portraits
        One of each person, who counts and is seen longest first; none unless asked for.
    note
        Why there are no such pictures although they were asked for.
    folder
        Where what is drawn will lie, for links; None where that is not known.
    alone
        It lies in no results folder: what pages share is beside it, not above.
    highlight_margin_seconds, highlights_per_person
        How much is cut out before and after each of a person's strongest moments, and of how many.
    """

    style: ChartStyle = "auto"
    size: ChartSize = "screen"
    lanes: bool = True
    apexes: tuple[ApexFrame, ...] = ()
    portraits: tuple[Portrait, ...] = ()
    note: str = ""
    folder: Path | None = None
    alone: bool = False
    highlight_margin_seconds: float = 2.0
    highlights_per_person: int = 3

    @classmethod
    def of(cls, output: OutputConfig) -> ChartOptions:
        """Return what the settings say."""
        return cls(
            style=output.chart,
            size=output.chart_size,
            lanes=output.lanes,
            highlight_margin_seconds=output.highlight_margin_seconds,
            highlights_per_person=output.highlights_per_person,
        )

    def of_face(self, track: int, *, most: int) -> list[ApexFrame]:
        """Return the pictures of one person, the most probable ones where there are more than fit."""
        apexes = [apex for apex in self.apexes if apex.track_id == track]
        chosen = sorted(apexes, key=lambda apex: (-apex.probability, apex.seconds))[:most]
        return sorted(chosen, key=lambda apex: apex.seconds)
