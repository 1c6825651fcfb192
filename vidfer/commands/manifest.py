"""``vidfer manifest``: make and check the tables of labelled clips that training and evaluation read."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from vidfer.commands import EXIT_OK
from vidfer.errors import ConfigError
from vidfer.labels import EMOTIONS
from vidfer.learning.datasets.manifest import SPLITS, Manifest


def run(options: argparse.Namespace) -> int:
    """Run ``manifest build``, ``check``, ``from-elan`` or ``list``."""
    if options.action == "list":
        _list()
    elif options.action == "check":
        _check(options)
    elif options.action == "from-elan":
        _from_elan(options)
    else:
        _build(options)
    return EXIT_OK


def _build(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from vidfer.learning.datasets.build_manifest import build_manifest
    from vidfer.learning.datasets.manifest import write_manifest

    out = Path(options.out)
    with tqdm(desc="digests", unit="video", disable=None if not options.quiet else True, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        built = build_manifest(
            options.corpus,
            Path(options.folder),
            media=out.with_name(f"{out.stem}_clips"),
            fold=options.fold,
            with_digests=not options.no_digests,
            progress=progress,
        )
    write_manifest(built.manifest, out)
    if not options.quiet:
        for note in built.notes:
            print(f"note: {note}", file=sys.stderr)
        print(f"{out}: {_summary(built.manifest)}")


def _check(options: argparse.Namespace) -> None:
    from vidfer.learning.datasets.manifest import read_manifest

    manifest = read_manifest(options.file, root=options.root)
    if not options.quiet:
        print(f"{options.file}: {_summary(manifest)}")


def _from_elan(options: argparse.Namespace) -> None:
    from vidfer.learning.datasets.annotations import manifest_of_annotations
    from vidfer.learning.datasets.manifest import joined, write_manifest

    if options.video and len(options.files) > 1:
        raise ConfigError("--video goes with one file; several name their own, or lie beside their videos")
    video = Path(options.video) if options.video else None
    found = [manifest_of_annotations(Path(one), video=video, tiers=tuple(options.tier)) for one in options.files]
    manifest = joined(found)
    write_manifest(manifest, options.out)
    if not options.quiet:
        print(f"{options.out}: {_summary(manifest)}")


def _list() -> None:
    from vidfer.learning.datasets.corpora import CORPORA
    from vidfer.learning.datasets.corpus_description import described_corpora, read_description

    buildable = CORPORA.names()
    for name in described_corpora():
        description = read_description(name)
        mark = "build" if name in buildable else "-"
        print(f"{name:<16} {mark:<6} {description.title}; {description.licence.name}; {description.source.url}")


def _summary(manifest: Manifest) -> str:
    """Return e.g. ``1440 rows, 24 subjects; train 960, validation 240, test 240; neutral 288, ...``."""
    splits, labels = Counter(manifest.split), Counter(manifest.label)
    subjects = len(set(manifest.subject_id) - {""})
    return "; ".join(
        (
            f"{len(manifest)} rows of {len(set(manifest.path))} videos, {subjects or 'unknown'} subjects",
            ", ".join(f"{name} {splits[name]}" for name in SPLITS if splits[name]),
            ", ".join(f"{name} {labels[name]}" for name in EMOTIONS if labels[name]),
        )
    )
