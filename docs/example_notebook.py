# %% [markdown]
# # From a folder of videos to a table
# Open this file as a notebook (Jupyter with jupytext, VS Code, PyCharm) or run it:
# `python docs/example_notebook.py [RESULTS]`. RESULTS is a folder that `vidfer process` wrote; without it a small
# sample video is made and processed here.

# %%
import sys
from pathlib import Path

from vidfer import Timeline, load_summary, load_timeline, process
from vidfer.labels import EMOTIONS
from vidfer.video.sample_clip import write_sample

given = [Path(argument) for argument in sys.argv[1:] if Path(argument).is_dir()]
RESULTS = given[0] if given else Path("results")

# %% [markdown]
# Process the videos of a folder; a second call computes nothing. Work is done in processes of its own.

# %%
if not given:
    if not Path("sample/sample.mp4").is_file():
        write_sample(Path("sample/sample.mp4"))
    process("sample", RESULTS, settings=["video.fps=10"])
clips = load_summary(RESULTS)
print(clips[["clip", "num_faces", "dominant_emotion", "num_episodes"]])

# %% [markdown]
# A `Timeline` shows itself as a chart when it is the last line of a cell.

# %%
clip = RESULTS / clips["clip"][0]
Timeline(clip)

# %% [markdown]
# One row per sampled frame and face; frames without a face have one row with `success` 0.

# %%
table = load_timeline(clip)
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
episodes = Timeline(clip).episodes
longest = episodes.sort_values("duration_seconds", ascending=False).head()
print(longest[["face_id", "emotion", "start_seconds", "duration_seconds", "mean_probability"]])
