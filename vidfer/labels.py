"""The eight emotion labels of FER+ (Barsoum et al. 2016), in the one order and spelling used everywhere."""

from __future__ import annotations

from typing import Final

EMOTIONS: Final[tuple[str, ...]] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)
NUM_EMOTIONS: Final[int] = len(EMOTIONS)
EMOTION_INDEX: Final[dict[str, int]] = {name: i for i, name in enumerate(EMOTIONS)}

EMOTION_COLOURS: Final[dict[str, str]] = {
    # Okabe and Ito's palette (2008), told apart by readers with any common colour vision; neutral is gray.
    "neutral": "#8c8c8c",
    "happiness": "#e69f00",
    "surprise": "#56b4e9",
    "sadness": "#0072b2",
    "anger": "#d55e00",
    "disgust": "#009e73",
    "fear": "#cc79a7",
    "contempt": "#4d3b1f",
}

UNSURE: Final = "unsure"
"""What stands for an emotion where a face is seen and none is plain: in rows that belong to no episode."""
UNSURE_LABEL: Final = -1  # stands where the label's number would
UNSURE_COLOUR: Final = "#d4d4d4"  # lighter than neutral
STATES: Final[tuple[str, ...]] = (*EMOTIONS, UNSURE)
STATE_COLOURS: Final[dict[str, str]] = {**EMOTION_COLOURS, UNSURE: UNSURE_COLOUR}

WRONG: Final = "wrong"
"""What people who label may say of a stretch instead of an emotion: that vidfer's label is not right."""
