"""The sections of the report: title, limit in seconds, and what is done."""
import pathlib
import shutil
import tempfile
import threading

import machine
import timing
import training

TESTS = ["--nocapture", "--test-threads=1"]


def versions(here, say):
    say((here.folder / "VERSION").read_text().rstrip())
    say(f"\nDevice of the programs: `{here.device}`. Libraries are looked for in `{here.environment['LD_LIBRARY_PATH']}`.\n")
    query = "name,driver_version,memory.total,clocks.max.sm,compute_cap"
    outcome = here.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv"], seconds=10)
    say(f"nvidia-smi: {outcome.verdict()}\n{outcome.tail()}")
    script = (
        "import torch, platform; print('Python', platform.python_version(), 'torch', torch.__version__, 'CUDA', torch.version.cuda, "
        "'cuDNN', torch.backends.cudnn.version())"
    )
    outcome = here.python("-c", script, seconds=40)
    say(f"torch: {outcome.verdict()}\n{outcome.tail(5)}")


def tests(name):
    def section(here, say):
        outcome = here.run([here.program(name), *TESTS])
        say(f"{outcome.verdict()}\n{outcome.tail(70)}")
        if here.dry:
            say("Not done: the GPU's side of every comparison. The CPU's side ran.")

    return section


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
    outcome = here.run(timing.ours(here, ["resnet18"], ["f32"], 30000, warmup=0, steps=1), seconds=40)
    say(f"`bench-step --model resnet18 --batch 30000`: {outcome.verdict()}\n{outcome.tail(15)}")


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


# The last section's share of the time at least; it takes all that is left.
LAST = 1 / 4

SECTIONS = [
    ("Machine and libraries", 40, versions),
    ("Device tests of the kernels: f32 with and without TF32, f64, bf16", 80, tests("devices-kernels")),
    ("Twenty steps of every optimizer against the CPU", 40, tests("devices-optim")),
    ("Time of a step, batch 128", 80, timing.steps(128)),
    ("Time of a step, batch 1024", 80, timing.steps(1024)),
    ("The longest kernels", 70, timing.kernels),
    ("Memory over 1,000 steps", 40, memory),
    ("A batch that is too large", 30, exhausted),
    ("Ctrl-C and resume", 50, interrupted),
    ("Three epochs on CIFAR-10", 40, training.three_epochs),
    ("Beside PyTorch's compiler", 120, timing.compiled),
    ("Speed runs on CIFAR-10", None, training.speed_runs),
]
