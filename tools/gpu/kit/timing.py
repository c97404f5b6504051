"""Steps timed: ours and PyTorch's in turn, and the kernels they spend their time in."""
import ast
import itertools
import json
import pathlib

TYPES = ["f32", "bf16"]


def network_names():
    """The list in networks.py, which cannot be imported where torch is missing."""
    text = (pathlib.Path(__file__).parent / "networks.py").read_text()
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "NETWORKS":
            return ast.literal_eval(statement.value)
    raise ValueError("networks.py names no NETWORKS")


def flags(models, variants, batch, warmup, steps):
    each = [("--model", model) for model in models] + [("--variant", variant) for variant in variants]
    each += [("--batch", str(batch)), ("--warmup", str(warmup)), ("--steps", str(steps))]
    return [word for pair in each for word in pair]


def ours(here, models, variants, batch, warmup, steps):
    """The command that times our side."""
    return [here.program("bench-step"), "--device", here.device, *flags(models, variants, batch, warmup, steps)]


def theirs(here, models, variants, batch, warmup, steps, compiled):
    script = [str(here.folder / "torch_step.py"), "--device", here.device]
    return script + flags(models, variants, batch, warmup, steps) + (["--compile"] if compiled else [])


def lines(outcome):
    """The JSON lines of an output, whatever stands between them."""
    found = []
    for line in outcome.text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and "model" in value:
            found.append(value)
    return found


# The lines of both sides, by network, batch, type and side, from all sections.
RESULTS = {}


def keep(say, side, outcome):
    """Keeps the lines of an output, and says what went wrong: every error, and what became of a program that failed."""
    found = lines(outcome)
    for line in found:
        if "median_step_s" in line:
            RESULTS[line["model"], line["batch"], line["variant"][:4].rstrip("-"), side] = line
        elif "error" in line:
            say(f"{side}, {line['model']} {line['variant']}: {line['error']}\n")
    if outcome.code != 0 or not found:
        say(f"{side}: {outcome.verdict()}\n{outcome.tail(15)}")


def steps(batch):
    def section(here, say):
        size = (4, 0, 1) if here.dry else (batch, 10, 50)
        if here.dry:
            say(f"Not done: batch {batch}; a batch of 4 goes through the same lines.")
        networks = network_names()
        try:
            # In turn, so that both sides meet the same machine.
            for model in networks:
                keep(say, "ours", here.run(ours(here, [model], TYPES, *size), seconds=30))
                keep(say, "torch", here.python(*theirs(here, [model], TYPES, *size, compiled=False), seconds=30))
        finally:
            table(say, [(model, size[0]) for model in networks], "torch")

    return section


def compiled(here, say):
    """PyTorch's networks compiled, which takes longest: the cases come in the order of what they say, as far as the time goes."""
    if here.dry:
        say("Not done: compiling PyTorch's network for a CPU.")
        return
    cases = [(model, batch) for batch in [1024, 128] for model in reversed(network_names())]
    try:
        for model, batch in cases:
            # A call for this section alone has no times of ours yet.
            if not all((model, batch, kind, "ours") in RESULTS for kind in TYPES):
                keep(say, "ours", here.run(ours(here, [model], TYPES, batch, 10, 50), seconds=30))
            keep(say, "compiled", here.python(*theirs(here, [model], TYPES, batch, 10, 50, compiled=True), seconds=60))
    finally:
        table(say, cases, "compiled")


def table(say, cases, peer):
    """Milliseconds a step, and of the host until all of it is asked for; how many times as fast as PyTorch we are."""
    say(f"| network | type | batch | ours | host | {peer} | host | {peer} / ours |")
    say("| --- | --- | --- | --- | --- | --- | --- | --- |")

    def time_of(line, key="median_step_s"):
        return f"{1e3 * line[key]:.2f}" if line else "-"

    for (model, batch), kind in itertools.product(cases, TYPES):
        mine, other = (RESULTS.get((model, batch, kind, side)) for side in ["ours", peer])
        both = mine and other
        cells = [time_of(mine), time_of(mine, "median_host_s"), time_of(other), time_of(other, "median_host_s")]
        ratio = f"{other['median_step_s'] / mine['median_step_s']:.2f}" if both else "-"
        say("| " + " | ".join([model, kind, str(batch), *cells, ratio]) + " |")
        if both and mine["parameters"] != other["parameters"]:
            say(f"\nNot one network: {mine['parameters']} parameters here, {other['parameters']} in PyTorch.\n")


def kernels(here, say):
    """The ten longest kernels of a step, by CUPTI on both sides."""
    if here.dry:
        say("Not done: there are no kernels to profile.")
        return
    profiler = here.folder / "bin" / "libprofile.so"
    for model, kind, batch in [("resnet20", "f32", 128), ("resnet18", "bf16", 128), ("speednet", "f32", 1024)]:
        say(f"\n{model}, {kind}, batch {batch}. Ours, over 25 steps:")
        command = ours(here, [model], [kind], batch, warmup=5, steps=20)
        outcome = here.run(command, seconds=25, extra={"CUDA_INJECTION64_PATH": str(profiler)})
        say(f"{outcome.verdict()}\n{outcome.tail(14)}")
        say("PyTorch, a step:")
        outcome = here.python(str(here.folder / "torch_kernels.py"), model, str(batch), kind, seconds=25)
        say(f"{outcome.verdict()}\n{outcome.tail(12)}")
