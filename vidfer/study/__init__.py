"""From clips to a study: conditions, events, baselines, statistics over participants, agreement of coders.

The verbs of ``vidfer study`` in Python: ``study.propose`` (init), ``study.run``, ``study.power``, ``study.agree``;
and ``study.fuse``, which is ``vidfer fuse``.
"""

from vidfer.study.agree import run_agreement as agree
from vidfer.study.analysis import Study
from vidfer.study.fusion import run_fusion as fuse
from vidfer.study.power import Power
from vidfer.study.power import power_of_pilot as power
from vidfer.study.proposal import propose
from vidfer.study.run import run_study as run

__all__ = ["Power", "Study", "agree", "fuse", "power", "propose", "run"]
