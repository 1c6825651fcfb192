"""What ``data_manifests/<corpus>.toml`` says of a corpus: licence, citation, where to get it, labels, split."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from vidfer.config import Section, parse_section, read_toml
from vidfer.errors import ConfigError
from vidfer.labels import EMOTIONS
from vidfer.registry import unknown_name


class Licence(Section):
    """``[licence]``: what may be done with the corpus. The owner's own words count, not this summary."""

    name: str = Field(min_length=1)
    url: str = ""
    commercial_use: Literal["yes", "no", "ask the owner"]


class Source(Section):
    """``[source]``: where to get it."""

    url: str = Field(min_length=1)
    access: Literal["download", "on request"]
    how: str = ""


class Size(Section):
    """``[size]``: how much there is; 0 where it does not apply or is not known."""

    items: int = Field(ge=0, description="clips, sequences or pictures, as the text says")
    subjects: int = Field(0, ge=0)
    text: str = Field(min_length=1)


class SplitRule(Section):
    """``[split]``: who is in which part. Subjects that are named nowhere are for training."""

    rule: str = Field(min_length=1)
    official: bool = Field(description="the corpus's own split, read from its files")
    folds: int = Field(1, ge=1, description="official folds, chosen with --fold")
    validation: tuple[str, ...] = Field((), description="subjects")
    test: tuple[str, ...] = Field((), description="subjects")
    validation_endings: tuple[str, ...] = Field((), description="subjects whose name ends so")
    test_endings: tuple[str, ...] = Field((), description="subjects whose name ends so")

    def split_of(self, subject_id: str) -> str:
        """Return ``train``, ``validation`` or ``test``; the same for a subject on every call and machine."""
        if subject_id in self.test or (self.test_endings and subject_id.endswith(self.test_endings)):
            return "test"
        if subject_id in self.validation or (self.validation_endings and subject_id.endswith(self.validation_endings)):
            return "validation"
        return "train"


class CorpusDescription(Section):
    """A whole file of ``data_manifests/``."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9+-]*$")
    title: str = Field(min_length=1)
    medium: Literal["pictures", "picture sequences", "videos"]
    expressions: Literal["acted", "induced", "spontaneous", "mixed", "none"]
    used_for: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    licence: Licence
    source: Source
    size: Size
    label_level: Literal["none", "picture", "clip", "frame"]
    labels: dict[str, str] = Field({}, description="the corpus's label -> one of the eight")
    left_out: dict[str, str] = Field({}, description="the corpus's label -> why it has no counterpart")
    label_notes: str = ""
    split: SplitRule
    known_problems: tuple[str, ...] = ()
    unsure: tuple[str, ...] = Field((), description="what could not be checked when this was written")

    @field_validator("labels")
    @classmethod
    def _known_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        wrong = sorted(set(labels.values()) - set(EMOTIONS))
        if wrong:
            raise ValueError(f"unknown label {wrong[0]!r}, known: {', '.join(EMOTIONS)}")
        return labels

    @model_validator(mode="after")
    def _consistent(self) -> CorpusDescription:
        if set(self.labels) & set(self.left_out):
            raise ValueError("a label is both mapped and left out")
        if (self.label_level == "none") != (not self.labels):
            raise ValueError("label_level and labels disagree: labels are mapped unless label_level is none")
        return self


def manifests_folder() -> Path:
    """Return the folder of the descriptions: in the wheel, or in the checkout."""
    packaged = Path(str(resources.files("vidfer"))) / "data_manifests"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "data_manifests"


def described_corpora() -> list[str]:
    """Return the sorted names of all corpora that are described."""
    return sorted(path.stem for path in manifests_folder().glob("*.toml"))


def read_description(name: str) -> CorpusDescription:
    """Return what is known of the corpus called ``name``.

    Raises
    ------
    ConfigError
        If it is not described (with the nearest match), or its file does not fit `CorpusDescription`.
    """
    path = manifests_folder() / f"{name}.toml"
    if not path.is_file():
        raise ConfigError(unknown_name("corpus", name, described_corpora()))
    description = parse_section(CorpusDescription, read_toml(path), source=str(path))
    if description.name != name:
        raise ConfigError(f"{path}: name: expected {name!r}, as the file is called, got {description.name!r}")
    return description
