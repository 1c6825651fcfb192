"""The two sizes in which charts are drawn: for a screen, and for a column of a paper (85 mm)."""

from __future__ import annotations

from dataclasses import dataclass

from vidfer.report.chart_options import ChartSize


@dataclass(frozen=True, kw_only=True)
class ChartFormat:
    """Measures of a chart; lengths in inches, text and lines in points.

    Attributes
    ----------
    width, dpi
        Of the whole figure; ``dpi`` of its PNG.
    left, part
        Where the time axis begins and how wide it is, parts of the figure's width.
    titled
        Whether the clip's name stands above; in a paper that is for the caption.
    title, heading, text, small
        Sizes of letters: the clip's name, a face's number, legend and notes, axes and episodes.
    line, faint_line
        Of labels that lead an episode, and of the others.
    panel, panel_of_one, ribbon, ribbon_gap, space, axis, head
        Heights: of one of several faces, of the only one, of its ribbon, between curves and ribbon, between faces,
        of the time axis, of each row of the legend with what stands above the first panel.
    lane
        Height of each lane of movements.
    band_text
        What the legend calls the band, which reaches from the line to the per-frame network's probability.
    legend_columns, legend_row
        Entries side by side, and the height of a row.
    note_letters
        Letters that fit on a line of notes.
    ticks
        Most of them on the time axis.
    picture, picture_caption, picture_spacing
        Sizes of the faces at peaks.
    """

    width: float
    dpi: int
    left: float
    part: float
    titled: bool
    title: float
    heading: float
    text: float
    small: float
    line: float
    faint_line: float
    panel: float
    panel_of_one: float
    ribbon: float
    ribbon_gap: float
    space: float
    axis: float
    head: float
    lane: float
    band_text: str
    legend_columns: int
    legend_row: float
    note_letters: int
    ticks: float
    picture: float
    picture_caption: float
    picture_spacing: float

    @property
    def legend_left(self) -> float:
        """Where the legend begins: above the axis, or using the whole width where that is scarce."""
        return self.left if self.titled else 0.015

    @property
    def axis_inches(self) -> float:
        """How long the time axis is."""
        return self.part * self.width

    @property
    def letter_inches(self) -> float:
        """How wide a letter of the episodes' names is, on average."""
        return 0.0083 * self.small

    @property
    def pictures_per_face(self) -> int:
        """How many faces fit side by side."""
        return int((self.axis_inches + 0.4 * self.picture) / self.picture_spacing)


SCREEN = ChartFormat(
    width=12.0, dpi=150,  # 1800 px; text stays readable when a page shows it at 1200 px
    left=0.06, part=0.91, titled=True, title=14, heading=10.5, text=9.5, small=9, line=1.7, faint_line=0.8,
    panel=1.9, panel_of_one=2.6, ribbon=0.24, ribbon_gap=0.06, space=0.55, axis=0.5, head=0.4, lane=0.3,
    band_text="band: each frame alone", legend_columns=11,
    legend_row=0.22, note_letters=190, ticks=13, picture=0.84, picture_caption=0.36, picture_spacing=0.97,
)  # fmt: skip
PAPER = ChartFormat(
    width=85 / 25.4, dpi=300, left=0.14, part=0.795, titled=False, title=8, heading=7.5, text=7, small=7, line=1.0,
    faint_line=0.5, panel=1.15, panel_of_one=1.5, ribbon=0.15, ribbon_gap=0.04, space=0.3, axis=0.34, head=0.24,
    lane=0.16,
    band_text="each frame alone",
    legend_columns=4, legend_row=0.135, note_letters=58, ticks=6, picture=0.44, picture_caption=0.28,
    picture_spacing=0.54,
)  # fmt: skip
FORMATS: dict[ChartSize, ChartFormat] = {"screen": SCREEN, "paper": PAPER}
