"""A folder of videos may hold json.py or torch.py: nothing in the folder that the command is given in is run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.fuzz_trials import short_clip

NAMES = ("json", "types", "operator", "torch", "numpy", "typing", "random", "pandas", "sitecustomize")
ENGINES = {"local": [], "ray": ["--engine", "ray"], "slurm": ["--engine", "slurm", "--address", "local"]}
PROCESS = ["process", "a.mp4", "--out", "out", "--fps", "2", "--export", "csv,chart,report"]


@pytest.fixture(scope="module")
def hostile(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video and modules, each of which tells that it was run, and then is of no use."""
    folder = tmp_path_factory.mktemp("hostile")
    short_clip(sample_video, folder / "a.mp4", num_frames=10)
    for name in NAMES:
        tell = f"import sys; open({str(folder / 'was_run')!r}, 'a').write({name!r} + ' ' + repr(sys.argv) + chr(10))"
        (folder / f"{name}.py").write_text(f"{tell}\nraise SystemExit(3)\n")
    return folder


def run_there(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return subprocess.run(
        command, cwd=folder, env=env | variables, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.parametrize("engine", list(ENGINES))
def test_the_command_runs_nothing_from_the_folder(hostile: Path, engine: str) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    elif engine == "slurm":
        pytest.importorskip("submitit")
    script = hostile.parent / "bin" / "vidfer"  # as pip writes it: Python then looks in the folder of the script
    script.parent.mkdir(exist_ok=True)
    script.write_text("import sys\nfrom vidfer.cli import main\nsys.exit(main())\n")
    done = run_there(hostile, sys.executable, str(script), *PROCESS, "--force", *ENGINES[engine])
    assert not (hostile / "was_run").exists(), (hostile / "was_run").read_text()
    assert done.returncode == 0, done.stderr
    assert (hostile / "out" / "a" / "report.html").is_file()


def test_the_module_runs_nothing_from_there_with_the_switch_that_the_readme_names(hostile: Path) -> None:
    assert "`python -P -m vidfer`" in (Path(__file__).parents[2] / "README.md").read_text()
    done = run_there(hostile, sys.executable, "-P", "-m", "vidfer", *PROCESS, "--force")
    assert not (hostile / "was_run").exists(), (hostile / "was_run").read_text()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [PROCESS, ["status", "out"], ["report", "out"]])
def test_the_module_runs_only_what_python_itself_takes_from_there(hostile: Path, command: list[str]) -> None:
    """`python -m` has looked into the folder before vidfer is begun: for these three, and never in a worker."""
    taken_by_python = {name: hostile / f"{name}.py" for name in ("types", "operator", "sitecustomize")}
    contents = {path: path.read_text() for path in taken_by_python.values()}
    try:
        for path in contents:
            path.unlink()
        done = run_there(hostile, sys.executable, "-m", "vidfer", *command)
    finally:
        for path, text in contents.items():
            path.write_text(text)
    assert not (hostile / "was_run").exists(), (hostile / "was_run").read_text()
    assert done.returncode == 0, done.stderr


def test_the_folder_is_used_where_pythonpath_names_it(tmp_path: Path) -> None:
    (tmp_path / "fruit.py").write_text("NAME = 'pear'\n")
    code = (
        "from vidfer.module_path import module_path\nimport sys\nsys.path[:] = module_path()\n"
        "try:\n    import fruit\n    print(fruit.NAME)\nexcept ImportError:\n    print('none')\n"
    )
    for there, expected in {str(tmp_path): "pear", ".": "pear", os.environ.get("PYTHONPATH", ""): "none"}.items():
        paths = os.pathsep.join(filter(None, [there, str(Path(__file__).parents[2])]))
        done = run_there(tmp_path, sys.executable, "-c", code, PYTHONPATH=paths)
        assert done.stdout.strip() == expected, done.stderr
