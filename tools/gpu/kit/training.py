"""Runs on CIFAR-10: a short one, and speed runs of as many seeds as there is time for."""
import json
import pathlib
import random
import shutil
import tempfile
import time
from contextlib import contextmanager

ROWS = ["lookahead", "plain"]
# Seconds before the end in which a run saves itself and the program prints its table.
TO_STOP = 6


@contextmanager
def scratch():
    """A folder for run folders, deleted afterwards."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gpu-check-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def command(here, folder):
    """The program on the kit's images; a dry run draws some where the kit has none. None without images."""
    program = [here.program("cifar10"), "--device", here.device, "--out", str(folder / "runs")]
    if here.has_images():
        return program
    return [*program, "--data", str(drawn(folder / "data"))] if here.dry else None


def drawn(root):
    """An archive of CIFAR-10 of random images: a byte for the class and 3,072 for the pixels."""
    folder, source = root / "cifar10" / "cifar-10-batches-bin", random.Random(0)
    folder.mkdir(parents=True)
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        records = [bytes([index % 10]) + source.randbytes(3072) for index in range(60)]
        (folder / f"{name}.bin").write_bytes(b"".join(records))
    return root


def three_epochs(here, say):
    """A short run, for its accuracy and its time."""
    with scratch() as folder:
        program = command(here, folder)
        if program is None:
            say("Not done: this kit has no CIFAR-10.")
            return
        size = ["--epochs", "1", "--limit-train", "256", "--limit-valid", "32"] if here.dry else ["--epochs", "3"]
        outcome = here.run([*program, "--optimizers", "sgd,lookahead-sgd", "--seeds", "1", *size])
        say(f"{outcome.verdict()}, {outcome.seconds:.1f} s\n{outcome.head(30)}")


def speed_runs(here, say):
    """A seed for both rows, then as many more as the time is enough for, by what the first took."""
    with scratch() as folder:
        program = command(here, folder)
        if program is None:
            say("Not done: this kit has no CIFAR-10.")
            return
        program += ["--protocol", "speedrun", "--optimizers", ",".join(ROWS), "--quiet"]
        if here.dry:
            say("Not done: the recipe's size; a few steps of a narrow network go through the same lines.\n")
            program += ["--epochs", "1", "--batch-size", "32", "--limit-train", "256", "--limit-valid", "32"]
            program += ["--set", "model.width=0.25", "--set", "model.whitening_images=64"]

        def seeds(count):
            numbers = ",".join(str(seed) for seed in range(1, count + 1))
            over = here.until - TO_STOP
            outcome = here.run([*program, "--seeds", numbers], interrupt_when=lambda: time.monotonic() > over)
            # An interrupted program prints the table of what is done.
            shown = outcome.head(16) if outcome.code in [0, 130] else outcome.tail(20)
            say(f"`--seeds {numbers}`: {outcome.verdict()}, {outcome.seconds:.1f} s\n{shown}\n")
            return outcome

        outcome = seeds(1)
        done = finished(folder)
        training = sum(run["seconds"] for run in done)
        if outcome.code == 0 and training > 0:
            # What is not training is starting the program and reading the images, which the next call does again.
            room = here.left() - TO_STOP - (outcome.seconds - training)
            more = 1 if here.dry else int(0.9 * room / training)
            if more > 0:
                seeds(1 + more)
        table(say, finished(folder))


def finished(folder):
    """What runs left that came to their end."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("runs/cifar10/*/summary.json"))]


def table(say, runs):
    """Each seed with the rows it was run for."""
    say("| seed | " + " | ".join(f"{row}: % | s | images/s" for row in ROWS) + " |")
    say("| --- |" + " --- |" * 3 * len(ROWS))
    by_name = {(run["seed"], run["optimizer"]): run for run in runs}
    for seed in sorted({run["seed"] for run in runs}):
        cells = []
        for row in ROWS:
            run = by_name.get((seed, row))
            cells += [f"{run['top1']:.2f}", f"{run['seconds']:.1f}", f"{run['per_second']:.0f}"] if run else ["-"] * 3
        say(f"| {seed} | " + " | ".join(cells) + " |")
