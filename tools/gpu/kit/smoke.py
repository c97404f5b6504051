"""What is seen first: the machine, and whether a training step runs on it at all."""
import pathlib

import libraries
import timing


def versions(here, say):
    say((here.folder / "VERSION").read_text().rstrip())
    say(f"\nDevice of the programs: `{here.device}`. Libraries are looked for in `{here.changes['LD_LIBRARY_PATH']}`.\n")
    query = "name,driver_version,memory.total,clocks.max.sm,compute_cap"
    outcome = here.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv"], seconds=10)
    say(f"nvidia-smi: {outcome.verdict()}\n{outcome.tail()}")
    script = (
        "import torch, platform; print('Python', platform.python_version(), 'torch', torch.__version__, 'CUDA', torch.version.cuda, "
        "'cuDNN', torch.backends.cudnn.version())"
    )
    outcome = here.python("-c", script, seconds=40)
    say(f"torch: {outcome.verdict()}\n{outcome.tail(5)}")


def smoke(here, say):
    """A step of ResNet-20 in each type: the device opens, its libraries are found, kernels compile, cuDNN has algorithms."""
    files = set()
    size = (4, 0, 1) if here.dry else (128, 0, 1)
    command = timing.ours(here, ["resnet20"], timing.TYPES, *size)
    outcome = here.run(command, watch=lambda process: files.update(libraries.loaded(process)))
    fine = outcome.code == 0 and len(timing.lines(outcome)) == len(timing.TYPES)
    say(f"A step of ResNet-20 in f32 and bf16: {outcome.verdict()}, {outcome.seconds:.1f} s\n{outcome.tail()}")
    if here.dry:
        say("Not done: naming CUDA's libraries and cuDNN's choices.")
        return fine
    say("\nLibraries that it loaded:\n")
    for file in sorted(files):
        say(f"- `{file}`")
    for family in ["libcublas", "libcudnn", "libnvrtc"]:
        origins = {str(pathlib.Path(file).parent) for file in files if pathlib.Path(file).name.startswith(family)}
        if len(origins) != 1:
            say(f"\n**{family} comes from {len(origins)} folders**: {', '.join(sorted(origins)) or 'it was not seen'}.")
    if absent := libraries.missing(here.scratch):
        say(f"\nNo wheel has {', '.join(absent)}, so the toolkit's was taken, if there is one.")
    say("\nWhat cuDNN proposed, and what ran:\n\n```")
    say("\n".join(outcome.traced()) or "nothing was traced")
    say("```")
    return fine
