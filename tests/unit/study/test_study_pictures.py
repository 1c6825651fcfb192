"""Pictures of a study: what is drawn of more than two conditions, of movements, and of what hardly differs from 0."""

import numpy as np
import pandas as pd
import pytest

from vidfer.labels import EMOTIONS
from vidfer.study.comparisons import compare
from vidfer.study.pictures import estimate_picture, heat_picture, time_course_picture
from vidfer.study.settings import AnalysisSection

CONDITIONS = ("control", "comedy", "talk")


def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(1)
    rows = [
        {"participant": f"{condition}{person}", "condition": condition, "seconds": 60.0, "emotion": emotion,
         "mean_probability": more + 0.01 * person if emotion == "happiness" else 0.0, "smile_left": rng.random()}
        for condition, more in zip(CONDITIONS, (0.2, 0.5, 0.3), strict=True)
        for person in range(6)
        for emotion in EMOTIONS
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    measures = ("mean_probability", "smile_left")
    analysis = AnalysisSection(design="unpaired", measures=measures, bootstrap=99, permutations=99)
    return table, compare(table, CONDITIONS, analysis, seed=1)


@pytest.mark.parametrize("width", [85, 180])
def test_each_condition_has_its_difference_from_the_reference(width: int) -> None:
    panels = [("mean_probability", "happiness"), ("mean_probability", "fear"), ("smile_left", "")]
    figure = estimate_picture(*_tables(), panels, CONDITIONS, width, paired=False)
    happiness, fear, smile = figure.axes[:3]
    assert [axes.get_title(loc="left") for axes in (happiness, fear, smile)] == ["happiness", "fear", "smile left"]
    ticks = [text.get_text() for text in fear.get_xticklabels()]
    assert ticks == ["control", "comedy", "talk", "Δ comedy", "Δ talk"]
    dots = {
        float(line.get_xdata()[0]): float(line.get_ydata()[0]) for line in happiness.lines if line.get_marker() == "o"
    }
    assert dots == pytest.approx({3.0: 0.525, 4.0: 0.325})  # from the reference's mean on
    assert fear.get_ylim()[0] > -0.01  # no probability is below 0
    assert fear.get_ylim()[1] >= 0.1


def test_courses_and_heat_map_of_three_conditions_of_unlike_length() -> None:
    rng = np.random.default_rng(2)
    time_courses = [(np.arange(count) / 10, rng.random((5, count, len(EMOTIONS)))) for count in (50, 80, 60)]
    time_courses[1][1][2, 40:] = np.nan
    figure = time_course_picture(time_courses, CONDITIONS, ["happiness", "fear", "anger"], 85, seed=1)
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [50, 80, 60]
    heat = heat_picture(time_courses, CONDITIONS, ["happiness", "fear"], 180)
    assert heat.axes[0].images[0].get_array().shape == (15, 80)
    assert heat.get_figheight() * 25.4 < 60


def test_many_participants_do_not_make_a_heat_map_longer_than_a_page() -> None:
    time_courses = [(np.arange(20) / 10, np.full((300, 20, len(EMOTIONS)), 0.5)) for _ in range(2)]
    for width in (85, 180):
        figure = heat_picture(time_courses, CONDITIONS[:2], EMOTIONS, width)
        assert figure.get_figheight() * 25.4 < 230
        spans = [axes.get_position().height * figure.get_figheight() * 25.4 for axes in figure.axes]
        assert min(spans) > 35
