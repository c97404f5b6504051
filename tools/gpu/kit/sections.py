"""The sections of the report: name, title, limit in seconds, and what is done."""
import dataclasses
import pathlib
import shutil
import tempfile
import threading
from typing import Callable

import device_tests
import machine
import smoke
import timing
import training


def memory(here, say):
    """A step repeated a thousand times must not take more and more memory."""
    steps = 3 if here.dry else 1000
    used, done = [], threading.Event()

    def watch():
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        while not done.wait(0.5):
            try:
                now = here.run(query, seconds=5)
                used.append(int(now.text.split()[0]))
            except (machine.NoTime, ValueError, IndexError):
                return  # without numbers the report says less

    watcher = threading.Thread(target=watch)
    if here.dry:
        say("Not done: reading the GPU's memory.")
    else:
        watcher.start()
    try:
        batch = 4 if here.dry else 128
        outcome = here.run(timing.ours(here, ["resnet20"], ["f32"], batch, warmup=0, steps=steps), seconds=60)
    finally:
        done.set()
        if not here.dry:
            watcher.join()
    say(f"{steps} steps of ResNet-20: {outcome.verdict()}\n{outcome.tail(5)}")
    if used:
        third = len(used) // 3
        say(f"MiB of the GPU in use, each half second: {used}")
        say(f"Largest in the middle third {max(used[third:2 * third] or [0])}, in the last {max(used[2 * third:] or [0])}.")


def exhausted(here, say):
    """A batch that no GPU holds: the error must be one line that says what to do, and nothing may hang."""
    if here.dry:
        say("Not done: exhausting this machine's memory would hurt more than it shows.")
        return
    # ResNet-18 might fit into the largest GPUs; more images would have indices of more than 31 bits.
    outcome = here.run(timing.ours(here, ["resnet34"], ["f32"], 30000, warmup=0, steps=1), seconds=40)
    say(f"`bench-step --model resnet34 --batch 30000`: {outcome.verdict()}, 2 is right\n{outcome.tail(15)}")


def interrupted(here, say):
    """Ctrl-C in the middle of a run, and the same command again."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gpu-check-"))
    size = ["--epochs", "2", "--limit-train", "1024", "--limit-valid", "64"] if here.dry else ["--epochs", "8"]
    command = [
        here.program("demo"), "--device", here.device, "--optimizers", "lookahead-sgd", "--seeds", "1", "--log-every", "1",
        "--out", str(folder), *size,
    ]

    def has_steps():
        return any(path.stat().st_size > 0 for path in folder.rglob("metrics.jsonl"))

    try:
        first = here.run(command, seconds=60, interrupt_when=has_steps)
        say(f"Interrupted after its first step: {first.verdict()}, 130 is right\n{first.tail(12)}")
        second = here.run(command, seconds=60)
        say(f"\nThe same command again: {second.verdict()}, 0 is right\n{second.tail(25)}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclasses.dataclass
class Section:
    """A part of the report. `run` is given the machine and `say`, and gives False if no other section would work."""

    name: str
    title: str
    limit: int | None  # seconds; none: all that is left
    run: Callable


# The last section's share of the time at least; it takes all that is left.
LAST = 1 / 4

SECTIONS = [
    Section("versions", "Machine and libraries", 50, smoke.versions),
    Section("smoke", "Smoke test", 90, smoke.smoke),
    Section("kernels", "Device tests of the kernels: f32 with and without TF32, f64, bf16", 110, device_tests.section("devices-kernels")),
    Section("optim", "Twenty steps of every optimizer against the CPU", 40, device_tests.section("devices-optim")),
    Section("step128", "Time of a step, batch 128", 80, timing.steps(128)),
    Section("step1024", "Time of a step, batch 1024", 80, timing.steps(1024)),
    Section("longest", "The longest kernels", 70, timing.kernels),
    Section("memory", "Memory over 1,000 steps", 40, memory),
    Section("too-large", "A batch that is too large", 30, exhausted),
    Section("resume", "Ctrl-C and resume", 50, interrupted),
    Section("epochs", "Three epochs on CIFAR-10", 40, training.three_epochs),
    Section("compiled", "Beside PyTorch's compiler", 120, timing.compiled),
    Section("memcheck", "Memory errors, by compute-sanitizer", 60, device_tests.memcheck),
    Section("speedrun", "Speed runs on CIFAR-10", None, training.speed_runs),
]
