"""The device tests: all in one process, those that fail once more alone, and a few under compute-sanitizer."""
import pathlib
import re
import shutil

FLAGS = ["--nocapture", "--test-threads=1"]
# Small ones of this project's own kernels: under the sanitizer, everything takes many times as long.
CHECKED = ["batch_norm_with_what_follows", "pools_and_the_rectifier", "losses", "norms_over_rows"]
SANITIZER = pathlib.Path("/usr/local/cuda/bin/compute-sanitizer")
# What CUDA says when a kernel broke the device for the rest of its process: everything after it fails, too.
SPOILED = re.compile(r"ILLEGAL_ADDRESS|MISALIGNED_ADDRESS|LAUNCH_FAILED|LAUNCH_TIMEOUT|ILLEGAL_INSTRUCTION")


def section(name):
    def run(here, say):
        program, begun, failed = here.program(name), [], []
        while True:
            skipped = [word for test in begun for word in ["--skip", test]]
            # Half of what is left: should a test hang, the others still have their turn.
            outcome = here.run([program, *FLAGS, "--exact", *skipped], seconds=max(10, here.left() / 2))
            say(f"{outcome.verdict()}\n{outcome.tail(100)}")
            now, broken, ended = results(outcome.text)
            begun, failed = begun + now, failed + broken
            if ended or not now:
                break
            say("The process ended in its last test, or nothing after it would have run; the other tests:\n")
        if here.dry:
            say("Not done: the GPU's side of every comparison. The CPU's side ran.")
        for test in failed:
            # Its own process, since an error of the GPU spoils all that follows, and each launch waits, so that the right one fails.
            outcome = here.run([program, *FLAGS, "--exact", test], seconds=25, extra={"CUDA_LAUNCH_BLOCKING": "1"})
            say(f"\n`{test}` alone, with CUDA_LAUNCH_BLOCKING=1: {outcome.verdict()}\n{outcome.tail(30)}")

    return run


def results(text):
    """The tests that began, those of them that failed, and whether all of them came to their turn. Those after a spoiled device did not."""
    pieces = re.split(r"^test (\S+) \.\.\. ", text, flags=re.M)[1:]
    begun = {}
    for test, said in zip(pieces[::2], pieces[1::2]):
        begun[test] = said
        if SPOILED.search(said):
            return list(begun), failures(begun), False
    return list(begun), failures(begun), re.search(r"^test result: ", text, re.M) is not None


def failures(begun):
    # A crash lists no failures; what has no verdict has failed too.
    return [test for test, said in begun.items() if not re.search(r"^(ok|ignored.*)$", said, re.M)]


def memcheck(here, say):
    """Reads and writes outside of memory, which on a GPU may go unnoticed."""
    if here.dry:
        say("Not done: there is no GPU's memory to watch.")
        return
    sanitizer = shutil.which("compute-sanitizer") or (str(SANITIZER) if SANITIZER.exists() else None)
    if sanitizer is None:
        say("Not done: there is no compute-sanitizer here.")
        return
    command = [sanitizer, "--tool", "memcheck", "--error-exitcode", "9", "--print-limit", "20"]
    outcome = here.run([*command, here.program("devices-kernels"), *FLAGS, "--exact", *CHECKED])
    say(f"{outcome.verdict()}, 9 is an error of memory\n{outcome.tail(60)}")
