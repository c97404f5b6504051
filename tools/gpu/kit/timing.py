"""Steps timed: ours and PyTorch's in turn, and the kernels they spend their time in."""
import ast
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


def steps(batch):
    def section(here, say):
        size = (4, 0, 1) if here.dry else (batch, 10, 50)
        if here.dry:
            say(f"Not done: batch {batch}; a batch of 4 goes through the same lines.")
        networks = network_names()
        results = {}

        def keep(side, outcome):
            for line in lines(outcome):
                if "median_step_s" in line:
                    results[line["model"], line["variant"][:4].rstrip("-"), side] = line
            if outcome.code != 0 or not lines(outcome):
                say(f"{side}: {outcome.verdict()}\n{outcome.tail(8)}")

        # In turn, so that both sides meet the same machine; compiling takes longest and comes last.
        for model in networks:
            keep("ours", here.run(ours(here, [model], TYPES, *size)))
            keep("torch", here.python(*theirs(here, [model], TYPES, *size, compiled=False), seconds=40))
        table(say, networks, results)
        for model in networks:
            if here.dry:
                say("Not done: compiling PyTorch's network for a CPU.")
                break
            keep("compiled", here.python(*theirs(here, [model], TYPES, *size, compiled=True), seconds=60))
        if not here.dry:
            say("\nWith PyTorch compiled:\n")
            table(say, networks, results)

    return section


def table(say, networks, results):
    """Milliseconds a step, and of the host until all of it is asked for; how many times as fast as PyTorch we are."""
    say("| network | type | ours | host | torch | host | compiled | torch / ours | compiled / ours |")
    say("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")

    def time_of(line, key="median_step_s"):
        return f"{1e3 * line[key]:.2f}" if line else "-"

    for model in networks:
        for kind in TYPES:
            mine, eager, compiled = (results.get((model, kind, side)) for side in ["ours", "torch", "compiled"])
            ratio = [f"{other['median_step_s'] / mine['median_step_s']:.2f}" if mine and other else "-"
                     for other in [eager, compiled]]
            cells = [time_of(mine), time_of(mine, "median_host_s"), time_of(eager), time_of(eager, "median_host_s")]
            say("| " + " | ".join([model, kind, *cells, time_of(compiled), *ratio]) + " |")


def kernels(here, say):
    """The ten longest kernels of a step, by CUPTI on both sides."""
    if here.dry:
        say("Not done: there are no kernels to profile.")
        return
    profiler = here.folder / "bin" / "libprofile.so"
    for model, kind in [("resnet20", "f32"), ("resnet18", "bf16")]:
        say(f"\n{model}, {kind}, batch 128. Ours, over 25 steps:")
        command = ours(here, [model], [kind], 128, warmup=5, steps=20)
        outcome = here.run(command, seconds=25, extra={"CUDA_INJECTION64_PATH": str(profiler)})
        say(f"{outcome.verdict()}\n{outcome.tail(14)}")
        say("PyTorch, a step:")
        outcome = here.python(str(here.folder / "torch_kernels.py"), model, "128", kind, seconds=25)
        say(f"{outcome.verdict()}\n{outcome.tail(12)}")
