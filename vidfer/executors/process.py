"""The parent's handle on one worker process: start, send, receive, kill. Never waits on a worker that is stuck."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from vidfer.executors.channel import TOKEN_BYTES, FrameReader, encode
from vidfer.module_path import module_path

_STDERR_TAIL_BYTES = 8192
_SEND_SECONDS = 30.0
_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from vidfer.executors.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# Threads that wait for each other sleep instead of spinning: decoding needs the cores too, and on a busy machine a
# spinning pair of threads is an order of magnitude slower than one thread (measured: benchmarks/RESULTS.md).
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}


class WorkerProcess:
    """A fresh interpreter in its own process group, with one message channel and one pipe for what it prints.

    It is not made by `multiprocessing`: that would import the user's main script again, which without an
    ``if __name__ == "__main__"`` runs it a second time.

    Parameters
    ----------
    pickled_fn
        The function that it is to run.
    threads
        For OMP_NUM_THREADS and its like.
    """

    def __init__(self, pickled_fn: bytes, *, threads: int) -> None:
        ours, theirs = socket.socketpair()
        output, output_end = os.pipe()
        lifeline_end, lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-u", "-c", _BOOT, str(theirs.fileno()), str(lifeline_end), *module_path()],
                stdin=subprocess.DEVNULL,
                stdout=output_end,
                stderr=output_end,
                pass_fds=(theirs.fileno(), lifeline_end),
                start_new_session=True,  # Ctrl-C reaches the parent only, and a kill reaches grandchildren too
                env=_WAITING | os.environ | dict.fromkeys(_THREAD_VARIABLES, str(threads)),
            )
        except BaseException:
            ours.close()
            os.close(output)
            os.close(lifeline)
            raise
        finally:
            theirs.close()
            os.close(output_end)
            os.close(lifeline_end)
        self._connection = ours
        self._lifeline = lifeline
        self.output = output
        os.set_blocking(output, False)
        self._tail = bytearray()
        token = secrets.token_bytes(TOKEN_BYTES)
        self._reader = FrameReader(token)
        self._token = token
        self._closed = False
        with contextlib.suppress(OSError):  # it is dead already: reading will tell
            ours.sendall(token + encode(token, pickled_fn))
        ours.setblocking(False)

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its process group."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor of the message channel, for a selector."""
        return self._connection.fileno()

    def send(self, pickled_item: bytes) -> None:
        """Send an item to an idle worker; a dead worker is noticed when it is read from."""
        self._connection.settimeout(_SEND_SECONDS)  # an idle worker reads at once
        with contextlib.suppress(OSError):
            self._connection.sendall(encode(self._token, pickled_item))
        with contextlib.suppress(OSError):
            self._connection.setblocking(False)

    def receive(self) -> tuple[list[tuple[str, Any]], bool]:
        """Return the messages that have arrived and whether the channel is still open; raises ChannelError."""
        try:
            data = self._connection.recv(1 << 18)
        except BlockingIOError:
            return [], True
        except OSError:
            return [], False
        return list(self._reader.feed(data)), bool(data)

    def drain_output(self) -> bool:
        """Read what the worker printed, keeping the tail; False when the pipe has ended."""
        for _ in range(16):  # a worker that never stops printing must not hold us
            try:
                data = os.read(self.output, 1 << 16)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._tail += data
            del self._tail[:-_STDERR_TAIL_BYTES]
        return True

    def forget_output(self) -> None:
        """Drop the tail, so that it speaks of the current item only."""
        self.drain_output()
        self._tail.clear()

    def output_tail(self) -> str:
        """Return the last lines that the worker printed."""
        with contextlib.suppress(OSError):
            self.drain_output()
        return self._tail.decode("utf-8", "replace").strip()

    def rss_bytes(self) -> int:
        """Return the memory that the process holds now; 0 where the system does not tell."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            return 0

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._wait(0.0) is None

    def how_it_ended(self) -> str:
        """Return how a worker ended whose channel has closed. It is not reaped: `kill` must still find its group."""
        ended = self._wait(1.0)
        if ended is None:
            return "it closed its message channel"
        if ended.si_code == os.CLD_EXITED:
            return f"exited with code {ended.si_status}"
        number = ended.si_status
        name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
        return f"killed by {name}" + (" (out of memory?)" if number == signal.SIGKILL else "")

    def kill(self) -> None:
        """End the process and everything that it started, now, and release what it held; may be called twice."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        if not self._closed:
            self._closed = True
            self._connection.close()
            os.close(self.output)
            os.close(self._lifeline)

    def stop(self) -> None:
        """Let an idle worker end by itself; kill it if it does not at once."""
        self._connection.close()
        self._wait(0.5)
        self.kill()

    def _wait(self, seconds: float) -> os.waitid_result | None:
        deadline = time.monotonic() + seconds
        while True:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if ended is not None or time.monotonic() >= deadline:
                return ended
            time.sleep(0.002)
