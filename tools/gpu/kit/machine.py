"""The machine, and programs that run on it within a limit."""
import contextlib
import ctypes
import dataclasses
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time

import libraries

# What `LOOKAHEAD_KERNELS_TRACE` writes begins so.
TRACE = "lookahead-kernels trace: "
# Seconds in which a program that was killed has to end. One that waits in the driver may not.
TO_DIE = 10


class NoTime(Exception):
    """Too little time is left to start a program."""


@dataclasses.dataclass
class Outcome:
    """What became of a program."""

    code: int | None  # none: it could not be started, or it did not end
    text: str  # stdout and stderr
    seconds: float
    timed_out: bool = False
    started: bool = True

    def lines(self):
        """What it wrote, without the trace, which is in the log."""
        return [line for line in self.text.strip().splitlines() if not line.startswith(TRACE)]

    def traced(self):
        return [line.removeprefix(TRACE) for line in self.text.splitlines() if line.startswith(TRACE)]

    def head(self, lines=25):
        return quoted(self.lines()[:lines])

    def tail(self, lines=25):
        return quoted(self.lines()[-lines:])

    def verdict(self):
        if not self.started:
            return "could not be started"
        if self.code is None:
            return f"killed at its limit, and still there {TO_DIE} s later"
        return f"stopped at its limit after {self.seconds:.0f} s" if self.timed_out else f"exit status {self.code}"


def quoted(lines):
    return "```\n" + "\n".join(line[:2000] for line in lines) + "\n```"


class Machine:
    """Where programs lie, which device they use, and how long they may take. All that they write goes to the log."""

    def __init__(self, folder: pathlib.Path, scratch: pathlib.Path, deadline: float, why_dry: str | None, log):
        self.folder = folder
        self.scratch = scratch
        self.deadline = deadline
        self.until = deadline
        self.why_dry = why_dry
        self.dry = why_dry is not None
        self.device = "cpu" if self.dry else "cuda"
        self.log = log
        self.begun = time.monotonic()
        self.changes = {"LD_LIBRARY_PATH": libraries.path(scratch), "PYTHONPATH": before(str(folder), "PYTHONPATH")}
        if not self.dry:
            # In the kit's folder: where reports are collected, thousands of small files would be in the way.
            self.changes |= {"CUDA_CACHE_DISABLE": "0", "CUDA_CACHE_PATH": str(folder / "cache"), "CUDA_CACHE_MAXSIZE": str(4 << 30)}
            self.changes |= {"LOOKAHEAD_NEEDS_GPU": "1", "LOOKAHEAD_KERNELS_TRACE": "1"}
        if (folder / "data" / "cifar10").is_dir():
            self.changes["LOOKAHEAD_DATA"] = str(folder / "data")
        self.environment = {**os.environ, **self.changes}
        self.note(f"programs start in {folder}, with\n" + "\n".join(f"  {name}={value}" for name, value in self.changes.items()))

    def has_images(self):
        return "LOOKAHEAD_DATA" in self.environment

    def note(self, text):
        # At once, and in one piece: two programs may run at the same time.
        self.log.write(f"[{time.monotonic() - self.begun:.1f} s] {text.rstrip()}\n\n")
        self.log.flush()

    def limit(self, seconds, kept):
        """All programs of a section together end within so many seconds, and leave `kept` to the last, which has no limit of its own."""
        self.until = self.deadline if seconds is None else min(time.monotonic() + seconds, self.deadline - kept)

    def left(self):
        """Seconds that the section's programs still have."""
        return self.until - time.monotonic()

    def program(self, name):
        return str(self.folder / "bin" / name)

    def run(self, command, seconds=None, interrupt_when=None, extra=None, watch=None):
        """Runs a command until it ends or the section's time is over; SIGINT is sent once `interrupt_when` holds.

        `extra` is added to its environment; `watch` is called with its process id now and then.
        """
        limit = self.left() if seconds is None else min(seconds, self.left())
        shown = shlex.join([f"{name}={value}" for name, value in (extra or {}).items()] + [str(word) for word in command])
        if limit < 2:
            self.note(f"not started, no time is left: {shown}")
            raise NoTime
        self.note(f"started, for at most {limit:.0f} s: {shown}")
        # Into a file: a pipe is held open by whatever the program started, and is lost with a program that does not end.
        with tempfile.TemporaryFile() as output:
            start = time.monotonic()
            try:
                process = subprocess.Popen(
                    command, env={**self.environment, **(extra or {})}, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )
            except OSError as error:
                outcome = Outcome(None, str(error), 0.0, started=False)
            else:
                timed_out = wait(process, start, limit, interrupt_when, watch)
                output.seek(0)
                text = output.read().decode(errors="replace")
                outcome = Outcome(process.returncode, text, time.monotonic() - start, timed_out)
        self.note(f"{outcome.verdict()}, {outcome.seconds:.1f} s: {shown}\n{outcome.text}")
        return outcome

    def python(self, *arguments, **options):
        """Runs this Python."""
        return self.run([sys.executable, *arguments], **options)


def wait(process, start, limit, interrupt_when, watch):
    """Waits for the end of a program; whether its time was over first. A program that cannot be killed is left behind."""
    timed_out = False
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2 if interrupt_when is None else 0.02)
            return timed_out
        passed = time.monotonic() - start
        if passed > limit + TO_DIE:
            return timed_out
        if passed > limit and not timed_out:
            timed_out = True
            # With all that it started.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        elif interrupt_when is not None and interrupt_when():
            process.send_signal(signal.SIGINT)
            interrupt_when = None
        if watch is not None:
            watch(process.pid)


def before(first, variable):
    """A list of folders: `first`, then what the variable holds."""
    return ":".join([first, *filter(None, [os.environ.get(variable)])])


def no_gpu():
    """Why there is no GPU; none where there is one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1) on this machine"
    count, version = ctypes.c_int(0), ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver finds no GPU"
    # candle's kernels are PTX of CUDA 13.0, which an older driver refuses.
    driver.cuDriverGetVersion(ctypes.byref(version))
    if version.value < 13000:
        return f"the NVIDIA driver is of CUDA {version.value // 1000}.{version.value % 1000 // 10}, and the kit needs one of 13.0 or later"
    return None
