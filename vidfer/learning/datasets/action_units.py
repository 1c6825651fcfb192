"""Where the facial muscles pull the landmarks: action units (Ekman, Friesen and Hager 2002).

Coordinates are those of a face's square; landmarks are the 68 of iBUG 300-W.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vidfer.faces.align import MIRRORED_LANDMARKS

# Action unit -> landmark of the person's right half, or of the middle -> how far it moves outwards and down, in sides
# of the face. The directions are FACS's; the distances were chosen by eye, so that faces look as in its pictures.
ACTION_UNITS: Final[dict[int, dict[int, tuple[float, float]]]] = {
    1: {21: (0, -0.070), 20: (0, -0.049), 19: (0, -0.017)},  # inner brow raiser
    2: {18: (0, -0.056), 17: (0, -0.056), 19: (0, -0.063), 20: (0, -0.035)},  # outer brow raiser
    4: {  # brow lowerer
        **{21: (-0.022, 0.036), 20: (-0.018, 0.036), 19: (-0.011, 0.031)},
        **{18: (-0.006, 0.017), 17: (-0.006, 0.017)},
    },
    5: {37: (0, -0.022), 38: (0, -0.022)},  # upper lid raiser
    7: {41: (0, -0.014), 40: (0, -0.014), 37: (0, 0.008), 38: (0, 0.008)},  # lid tightener
    9: {  # nose wrinkler
        **{31: (0.004, -0.031), 32: (0.003, -0.028), 33: (0, -0.028), 30: (0, -0.011), 27: (0, 0.008)},
        **{50: (0, -0.031), 49: (0, -0.028), 51: (0, -0.031), 61: (0, -0.028), 62: (0, -0.028)},
        **{21: (-0.017, 0.036), 20: (-0.011, 0.028), 41: (0, -0.011), 40: (0, -0.011)},
    },
    10: {  # upper lip raiser
        **{50: (0, -0.042), 49: (0, -0.042), 51: (0, -0.042), 61: (0, -0.042), 62: (0, -0.042)},
        **{31: (0.006, -0.017), 33: (0, -0.008), 48: (0, -0.008)},
    },
    12: {  # lip corner puller
        **{48: (0.049, -0.056), 60: (0.049, -0.056), 49: (0.028, -0.028), 59: (0.028, -0.028)},
        **{61: (0.014, -0.011), 67: (0.014, -0.011)},
    },
    14: {  # dimpler
        **{48: (0.025, -0.022), 60: (0.025, -0.022), 49: (0.014, -0.011), 59: (0.014, -0.011)},
    },
    15: {48: (0.006, 0.049), 60: (0.006, 0.049), 59: (0, 0.022), 49: (0, 0.011)},  # lip corner depressor
    17: {58: (0, -0.022), 59: (0, -0.022), 57: (0, -0.022), 67: (0, -0.014), 66: (0, -0.014), 8: (0, -0.014)},  # chin
    20: {  # lip stretcher
        **{48: (0.063, 0.017), 60: (0.063, 0.017), 49: (0.042, 0.008), 59: (0.042, 0.008)},
        **{50: (0.017, 0), 58: (0.017, 0), 61: (0.025, 0), 67: (0.025, 0)},
    },
    23: {  # lip tightener
        **{50: (0, 0.017), 49: (0, 0.017), 51: (0, 0.017), 58: (0, -0.020), 59: (0, -0.020), 57: (0, -0.020)},
        **{48: (-0.017, 0), 60: (-0.017, 0)},
    },
    25: {  # lips part
        **{58: (0, 0.036), 59: (0, 0.036), 67: (0, 0.036), 57: (0, 0.036), 66: (0, 0.036)},
        **{50: (0, -0.008), 61: (0, -0.008), 51: (0, -0.008), 62: (0, -0.008)},
    },
    26: {  # jaw drop
        **{58: (0, 0.119), 59: (0, 0.098), 67: (0, 0.119), 57: (0, 0.119), 66: (0, 0.119)},
        **{48: (-0.017, 0.049), 60: (-0.017, 0.049)},
        **{5: (0, 0.049), 6: (0, 0.098), 7: (0, 0.098), 8: (0, 0.098)},
    },
}


def unit_movement(unit: int, right: float, left: float) -> np.ndarray:
    """Return how one action unit moves landmarks, (68, 2) in sides of the face, by amounts of each half of the person.

    An amount of 1 is a strong movement, a negative one goes the other way.
    """
    moves = np.zeros((68, 2), np.float32)
    for landmark, (outwards, down) in ACTION_UNITS[unit].items():
        other = MIRRORED_LANDMARKS[landmark]
        if other == landmark:
            moves[landmark, 1] = (right + left) / 2 * down
        else:  # the person's right is on the left of the picture
            moves[landmark] = -right * outwards, right * down
            moves[other] = left * outwards, left * down
    return moves
