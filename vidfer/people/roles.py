"""What vidfer proposes of the people of a clip: who is the main one, a bystander, a picture on the wall; who counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vidfer.config import PeopleConfig
from vidfer.people.figures import Figures

MAIN, BYSTANDER, POSTER = "main", "bystander", "poster"
_BYSTANDER_SHARE = 0.1  # of the time that the main person is seen
_MAIN_SHARE = 0.8  # of that time


class Verdict(NamedTuple):
    """What is proposed of a person: a role, whether they count, and why not."""

    role: str
    include: bool
    reason: str


def propose(people: Mapping[int, Figures], config: PeopleConfig) -> dict[int, Verdict]:
    """Return what is proposed of each person of a clip.

    A face that never moves is a picture of one. Of the others the one seen longest (of two equals the larger) is the
    main person, unless another is seen nearly as long; one seen for less than a tenth of that time is a bystander.
    """
    living = {number: of for number, of in people.items() if not of.never_moves}
    main = max(living, key=lambda n: (round(living[n].seconds_on_screen, 3), living[n].median_size_px), default=None)
    largest = max(living, key=lambda n: (living[n].median_size_px, living[n].seconds_on_screen), default=None)
    chosen = {"main": main, "largest": largest}
    longest = sorted((of.seconds_on_screen for of in living.values()), reverse=True)[:2]
    stands_out = len(longest) < 2 or longest[1] < _MAIN_SHARE * longest[0]
    verdicts = {}
    for number, of in people.items():
        role = MAIN if number == main and stands_out else ""
        if number not in living:
            role = POSTER
        elif main is not None and of.seconds_on_screen < _BYSTANDER_SHARE * living[main].seconds_on_screen:
            role = BYSTANDER
        reason = ""
        if number not in living:
            reason = f"never moves: a picture? (its centre strays by {of.stray_px:.2f} px)"
        elif config.which in chosen and number != chosen[config.which]:
            reason = f"not the {'one seen longest' if config.which == 'main' else 'largest'} (people.which)"
        elif of.seconds_on_screen < config.min_seconds:
            reason = f"seen for {of.seconds_on_screen:.1f} s (people.min_seconds)"
        elif of.mean_quality < config.min_quality:
            reason = f"mean quality {of.mean_quality:.2f} (people.min_quality)"
        verdicts[number] = Verdict(role, not reason, reason)
    return verdicts
