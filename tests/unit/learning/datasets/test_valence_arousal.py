"""Valence and arousal over time."""

import numpy as np
import pytest

from vidfer.errors import DataError
from vidfer.learning.datasets.valence_arousal import ValenceArousal, read_valence_arousal, write_valence_arousal


def table():
    pts = np.array([0.0, 0.04, 0.08, 2.0, 2.04])
    return ValenceArousal(
        pts_seconds=pts, values=np.array([[0, 1], [0.2, 0.8], [0.4, 0.6], [-1, 0], [-0.5, 0]], np.float32)
    )


def test_values_lie_between_their_neighbours_and_gaps_stay_unknown():
    found = table().at(np.array([0.02, 0.08, 0.5, 2.0, 2.02, 2.1, 9.0]))
    assert found[0] == pytest.approx([0.1, 0.9])
    assert found[1] == pytest.approx([0.4, 0.6])
    assert np.isnan(found[2]).all()
    assert found[3] == pytest.approx([-1, 0])
    assert found[4] == pytest.approx([-0.75, 0])
    assert found[5] == pytest.approx([-0.5, 0])
    assert np.isnan(found[6]).all()


def test_files_keep_what_was_written(tmp_path):
    write_valence_arousal(table(), tmp_path / "v.csv")
    again = read_valence_arousal(tmp_path / "v.csv")
    assert np.array_equal(again.pts_seconds, table().pts_seconds)
    assert np.allclose(again.values, table().values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,valence\n", "expected the columns seconds,valence,arousal"),
        ("seconds,valence,arousal\n0,1\n", "line 2: expected three numbers"),
        ("seconds,valence,arousal\n0,-5,-5\n", "line 2: expected valence and arousal from -1 to 1"),
        ("seconds,valence,arousal\n1,0,0\n0.5,0,0\n", "line 3: seconds must ascend"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, text, message):
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_valence_arousal(tmp_path / "v.csv")
