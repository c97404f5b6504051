"""The machine, and programs that run on it within a limit."""
import ctypes
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import sysconfig
import threading
import time


class NoTime(Exception):
    """Too little time is left to start a program."""


@dataclasses.dataclass
class Outcome:
    """What became of a program."""

    code: int | None  # none: it could not be started
    text: str  # stdout and stderr
    seconds: float
    timed_out: bool = False

    def head(self, lines=25):
        return quoted(self.text.strip().splitlines()[:lines])

    def tail(self, lines=25):
        return quoted(self.text.strip().splitlines()[-lines:])

    def verdict(self):
        if self.code is None:
            return "could not be started"
        return f"stopped at its limit after {self.seconds:.0f} s" if self.timed_out else f"exit status {self.code}"


def quoted(lines):
    return "```\n" + "\n".join(line[:400] for line in lines) + "\n```"


class Machine:
    """Where programs lie, which device they use, and how long they may take."""

    def __init__(self, folder: pathlib.Path, deadline: float, why_dry: str | None):
        self.folder = folder
        self.deadline = deadline
        self.until = deadline
        self.why_dry = why_dry
        self.dry = why_dry is not None
        self.device = "cpu" if self.dry else "cuda"
        self.environment = dict(os.environ, LD_LIBRARY_PATH=library_path(), PYTHONPATH=str(folder))
        if (folder / "data" / "cifar10").is_dir():
            self.environment["LOOKAHEAD_DATA"] = str(folder / "data")

    def limit(self, seconds, kept):
        """All programs of a section together end within so many seconds, and leave `kept` to the last, which has no limit of its own."""
        self.until = self.deadline if seconds is None else min(time.monotonic() + seconds, self.deadline - kept)

    def left(self):
        """Seconds that the section's programs still have."""
        return self.until - time.monotonic()

    def program(self, name):
        return str(self.folder / "bin" / name)

    def run(self, command, seconds=None, interrupt_when=None, extra=None):
        """Runs a command until it ends or the section's time is over; SIGINT is sent once `interrupt_when` holds.

        `extra` is added to its environment.
        """
        limit = self.left() if seconds is None else min(seconds, self.left())
        if limit < 2:
            raise NoTime
        start = time.monotonic()
        try:
            process = subprocess.Popen(
                command, env={**self.environment, **(extra or {})}, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
            )
        except OSError as error:
            return Outcome(None, str(error), 0.0)
        timed_out, ended = threading.Event(), threading.Event()

        def watch():
            waiting = interrupt_when is not None
            while not ended.wait(0.02 if waiting else 0.2):
                if time.monotonic() - start > limit:
                    timed_out.set()
                    # With all that it started, which may hold its output open.
                    os.killpg(process.pid, signal.SIGKILL)
                    return
                if waiting and interrupt_when():
                    process.send_signal(signal.SIGINT)
                    waiting = False

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        text, _ = process.communicate()
        ended.set()
        watcher.join()
        return Outcome(process.returncode, text, time.monotonic() - start, timed_out.is_set())

    def python(self, *arguments, **options):
        """Runs this Python."""
        return self.run([sys.executable, *arguments], **options)


def no_gpu():
    """Why there is no GPU; none where there is one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1) on this machine"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver finds no GPU"
    return None


def library_path():
    """CUDA's libraries: those of torch's wheels first, then the toolkit's."""
    site = pathlib.Path(sysconfig.get_path("purelib"))
    folders = sorted(str(path) for path in site.glob("nvidia/*/lib"))
    folders += [str(site / "torch" / "lib"), "/usr/local/cuda/lib64"]
    return ":".join(folders + [os.environ[name] for name in ["LD_LIBRARY_PATH"] if os.environ.get(name)])
