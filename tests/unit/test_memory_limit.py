"""What libraries say for want of memory is told from everything else."""

from __future__ import annotations

import errno

import pytest

from vidfer.errors import BadVideo
from vidfer.memory_limit import blame_memory, is_out_of_memory, memory_advice


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("could not create a primitive"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("can't start new thread"), True),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (ImportError("libGL.so.1: cannot open shared object file: No such file or directory"), False),
        (ValueError("expected 3 columns, got 2"), False),
        (BadVideo("a.mp4", "no_frames", "none of 12 packets can be decoded: the file is damaged"), False),
    ],
)
def test_want_of_memory_is_known_by_what_is_said(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_an_error_that_came_of_want_of_memory_is_one() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011, PT012
        try:
            raise MemoryError
        except MemoryError as cause:
            raise ValueError("the picture cannot be drawn") from cause
    assert is_out_of_memory(caught.value)


def test_damage_that_asks_for_absurd_memory_is_damage_unless_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = OSError(errno.ENOMEM, "Cannot allocate memory")
    monkeypatch.setattr("vidfer.memory_limit.limit_bytes", lambda: 0)
    blame_memory(refused)
    assert memory_advice() == "free some memory or use fewer --jobs"
    monkeypatch.setattr("vidfer.memory_limit.limit_bytes", lambda: 1 << 30)
    with pytest.raises(MemoryError):
        blame_memory(refused)
    assert "1.0 GiB" in memory_advice()
