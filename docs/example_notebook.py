# %% [markdown]
# # From a folder of videos to a table
# Open this file as a notebook (Jupyter with jupytext, VS Code, PyCharm) or run it: `python docs/example_notebook.py`.

# %%
from pathlib import Path

import pandas as pd

from vidfer import load_timeline, process
from vidfer.labels import EMOTIONS
from vidfer.video.sample_clip import write_sample

VIDEOS, RESULTS = Path("sample"), Path("results")

# %% [markdown]
# Work is done in processes of its own, so a script calls `process` below this guard; a notebook needs no guard.

# %%
if __name__ == "__main__":
    if not (VIDEOS / "sample.mp4").is_file():
        write_sample(VIDEOS / "sample.mp4")
    report = process(VIDEOS, RESULTS, settings=["video.fps=10"])  # a second call computes nothing
    print(pd.read_csv(RESULTS / "summary.csv")[["clip", "num_faces", "dominant_emotion", "num_episodes"]])

    # %% [markdown]
    # One row per sampled frame and face; frames without a face have one row with `success` 0.

    # %%
    table = load_timeline(RESULTS / "sample")
    seen = table[table["success"] == 1]
    print(seen.groupby("face_id")[list(EMOTIONS)].mean().round(2))

    # %% [markdown]
    # Means over half a second, the usual step before comparing people: `timestamp` is in seconds at any frame rate.

    # %%
    half_seconds = (seen["timestamp"] // 0.5 * 0.5).rename("second")
    print(seen.groupby(["face_id", half_seconds])["happiness"].mean().unstack(0).round(2))

    # %% [markdown]
    # Episodes, longest first; `report.html` beside them plays the video with its chart.

    # %%
    episodes = pd.read_csv(RESULTS / "sample" / "segments.csv")
    print(episodes.sort_values("duration_seconds", ascending=False).head())
