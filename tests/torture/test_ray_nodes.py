"""Nodes that cannot do their part: another vidfer, no shared folder. The error names each, and no work starts."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fixtures.commands import read_events, vidfer
from fixtures.ray_cluster import RayCluster

import vidfer as package

pytestmark = pytest.mark.torture


def test_bad_nodes_are_named_before_any_work(sample_video: Path, tmp_path: Path) -> None:
    out, events = tmp_path / "out", tmp_path / "events.jsonl"
    out.mkdir()
    other = tmp_path / "other"
    shutil.copytree(Path(package.__file__).parent, other / "vidfer", ignore=shutil.ignore_patterns("__pycache__"))
    init = other / "vidfer" / "__init__.py"
    init.write_text(init.read_text().replace(f'"{package.__version__}"', '"0.0.1"'))
    (other / "sitecustomize.py").write_text("import vidfer\n")  # before Ray puts the driver's path in front
    own_namespace = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{out}" && exec "$@"', "sh"]
    if subprocess.run([*own_namespace, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("a node without the folder needs the right to mount (root)")
    with RayCluster() as cluster:
        cluster.add_node(env={"PYTHONPATH": os.pathsep.join([str(other), os.environ.get("PYTHONPATH", "")])})
        cluster.add_node(inside=own_namespace)
        arguments = ["--engine", "ray", "--address", cluster.address, "--events", events]
        done = vidfer("process", sample_video, "--out", out, *arguments, env=cluster.env)
    assert done.returncode == 2, done.stderr
    assert "vidfer 0.0.1 is installed there" in done.stderr
    assert "mount the results folder at the same path on every node" in done.stderr
    assert done.stderr.count("node ") >= 2
    assert not read_events(events)
