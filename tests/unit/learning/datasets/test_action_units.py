"""How action units move landmarks."""

import numpy as np

from vidfer.faces.align import MIRRORED_LANDMARKS
from vidfer.learning.datasets.action_units import ACTION_UNITS, unit_movement


def test_action_units_move_both_halves_alike_and_one_half_alone():
    for unit in ACTION_UNITS:
        both, right = unit_movement(unit, 1.0, 1.0), unit_movement(unit, 1.0, 0.0)
        assert both.any()
        assert np.allclose(both[MIRRORED_LANDMARKS] * [-1, 1], both)
        assert np.allclose(right + right[MIRRORED_LANDMARKS] * [-1, 1], both, atol=1e-6)
