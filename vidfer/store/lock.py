"""One run at a time per output folder.

Two safeguards, because no single one holds everywhere: a kernel lock (``flock``), which disappears with its
process whatever kills it, and a lease file with a heartbeat for file systems without locks and for runs on other
machines. Whether a foreign lease still beats is judged by watching it, never by comparing clocks.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from vidfer.errors import OutputError
from vidfer.store.atomic import reported_as_output_error

try:
    import fcntl
except ImportError:  # not POSIX: the lease alone has to do
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds, or held, an output folder.

    Attributes
    ----------
    pid, host, since
        For people: process, machine, and when it started (UTC).
    machine
        Tells whether ``pid`` means anything here: host name, boot and pid namespace.
    started
        The kernel's start time of the process, so that a reused pid is not taken for it.
    token
        Drawn at random for each run.
    """

    pid: int
    host: str
    since: str
    machine: str
    started: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class RunLock:
    """Context manager that holds ``<folder>/lock`` and ``<folder>/lease.json``.

    Parameters
    ----------
    folder
        ``<out>/.vidfer``; made if missing.
    heartbeat_seconds
        How often the lease shows that we live.
    lease_seconds
        For how long a lease from another machine is watched before its holder counts as dead. Only a run whose
        predecessor was killed, on another machine or where the file system has no locks, waits for that.

    Attributes
    ----------
    predecessor_killed
        After entering: the run before this one did not end by itself, so leftovers may lie around.
    """

    def __init__(self, folder: str | Path, *, heartbeat_seconds: float = 4.0, lease_seconds: float = 20.0) -> None:
        self.folder = Path(folder)
        self.predecessor_killed = False
        self._lease = self.folder / "lease.json"
        self._heartbeat_seconds = heartbeat_seconds
        self._lease_seconds = lease_seconds
        self._me = _this_process()
        self._handle: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether another run took over, because this one was suspended for longer than the lease lasts."""
        return self._lost

    def check(self) -> None:
        """Raise OutputError if another run took over."""
        if self._lost:
            who = _read_holder(self._lease)
            raise OutputError(
                f"{self.folder.parent}: another vidfer run took over{f' ({who})' if who else ''}, because this one "
                f"showed no sign of life for a while: nothing is lost, let that one go on"
            )

    def __enter__(self) -> RunLock:
        with reported_as_output_error(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                locked = self._lock_file()
                self._take_lease(locked)
            except BaseException:
                self._unlock_file()
                raise
        self._thread = threading.Thread(target=self._beat, name="vidfer-lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if not self._lost:
            with contextlib.suppress(OSError):
                self._lease.unlink()
        self._unlock_file()

    def _lock_file(self) -> bool:
        """Take the kernel's lock; False on systems without. The file stays: removing it would race."""
        if fcntl is None:
            return False
        self._handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise self._held_by(_read_holder(self._lease)) from None
            if error.errno in _NO_LOCKS:
                return False
            raise
        return True

    def _unlock_file(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _take_lease(self, locked: bool) -> None:
        contested = False
        if self._lease.exists():
            holder = _read_holder(self._lease)
            here = holder is not None and holder.machine == self._me.machine
            if holder is not None and here and not locked and _is_alive(holder):
                raise self._held_by(holder)
            if not here and self._beats():
                raise self._held_by(_read_holder(self._lease))
            contested = not (locked and here)
            self.predecessor_killed = True
            with contextlib.suppress(FileNotFoundError):
                self._lease.unlink()
        self._create_lease()
        if contested:  # another run may have judged the same lease dead at the same moment: the last one stays
            time.sleep(min(1.0, self._heartbeat_seconds))
            if not self._is_mine():
                raise self._held_by(_read_holder(self._lease))

    def _create_lease(self) -> None:
        try:
            handle = os.open(self._lease, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
        except FileExistsError:
            raise self._held_by(_read_holder(self._lease)) from None
        try:
            os.write(handle, json.dumps(asdict(self._me)).encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def _beats(self) -> bool:
        """Watch the lease for as long as it lasts: True as soon as it changes."""
        first = _state(self._lease)
        deadline = time.monotonic() + self._lease_seconds
        while time.monotonic() < deadline:
            time.sleep(min(0.2, self._heartbeat_seconds))
            now = _state(self._lease)
            if now is None:
                return False  # its run has just ended
            if now != first:
                return True
        return False

    def _is_mine(self) -> bool:
        holder = _read_holder(self._lease)
        return holder is not None and holder.token == self._me.token

    def _beat(self) -> None:
        while not self._stop.wait(self._heartbeat_seconds):
            try:
                holder = _read_holder(self._lease)  # None: unreadable just now, perhaps
                if holder is not None and holder.token != self._me.token:
                    self._lost = True
                    return
                os.utime(self._lease)  # takes no space, so that a full disk does not cost the lease
            except FileNotFoundError:
                self._lost = True
                return
            except OSError:
                continue

    def _held_by(self, holder: Holder | None) -> OutputError:
        who = f" ({holder})" if holder else ""
        return OutputError(
            f"{self.folder.parent}: another vidfer run writes there{who}: wait for it to end, stop it, "
            f"or choose another --out"
        )


def _this_process() -> Holder:
    host = socket.gethostname()
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    boot = _read_text("/proc/sys/kernel/random/boot_id")
    return Holder(
        pid=os.getpid(),
        host=host,
        since=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        machine=f"{host} {boot} {namespace}",
        started=_start_time(os.getpid()),
        token=secrets.token_hex(16),
    )


def _is_alive(holder: Holder) -> bool:
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not holder.started or _start_time(holder.pid) == holder.started


def _start_time(pid: int) -> str:
    """Return field 22 of ``/proc/<pid>/stat``, empty where there is no such file."""
    text = _read_text(f"/proc/{pid}/stat")
    return text.rpartition(")")[2].split()[19] if ")" in text else ""


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _read_holder(path: Path) -> Holder | None:
    try:
        with path.open("rb") as file:
            data: dict[str, Any] = json.loads(file.read(4096))
        holder = Holder(**data)
    except (OSError, ValueError, TypeError):
        return None
    wrong = [f.name for f in fields(holder) if not isinstance(getattr(holder, f.name), int if f.name == "pid" else str)]
    return None if wrong else holder


def _state(path: Path) -> tuple[int, int, bytes] | None:
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            return info.st_ino, info.st_mtime_ns, file.read(4096)
    except OSError:
        return None
