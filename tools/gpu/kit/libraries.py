"""CUDA's libraries: those of torch's wheels, found first by every program."""
import importlib.util
import os
import pathlib
import threading

# The libraries that the programs open. cudarc asks for names without a version first, which only the toolkit has: a process would
# get the toolkit's cuBLAS, and the wheels' cuBLASLt with it.
OPENED = ["cublas", "cublasLt", "curand", "nvrtc", "cudnn"]


def folders():
    """The wheels' folders of libraries, wherever this Python finds them."""
    found = []
    for package, pattern in [("nvidia", "*/lib"), ("torch", "lib")]:
        spec = importlib.util.find_spec(package)
        for place in (spec and spec.submodule_search_locations) or []:
            found += sorted(path for path in pathlib.Path(place).glob(pattern) if path.is_dir())
    return found


def link(folder):
    """Fills `folder` with links to all libraries of NVIDIA's wheels, so that each finds its neighbours there.

    Those that programs open also have their name without a version.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for place in folders():
        if place.parent.name != "torch":
            for library in place.glob("lib*.so*"):
                if not (folder / library.name).exists():
                    (folder / library.name).symlink_to(library)
    for name in OPENED:
        versions = [path for path in folder.glob(f"lib{name}.so.*") if path.suffix[1:].isdigit()]
        plain = folder / f"lib{name}.so"
        if versions and not plain.exists():
            plain.symlink_to(max(versions, key=lambda path: int(path.suffix[1:])).name)


def path(scratch):
    """LD_LIBRARY_PATH: the links, the wheels' folders, the toolkit's, and what it was."""
    links = scratch / "libraries"
    link(links)
    parts = [links, *folders(), "/usr/local/cuda/lib64", os.environ.get("LD_LIBRARY_PATH")]
    return ":".join(str(part) for part in parts if part)


def missing(scratch):
    """Libraries that programs open and no wheel has."""
    return [name for name in OPENED if not (scratch / "libraries" / f"lib{name}.so").exists()]


def loaded(process):
    """The files of CUDA's libraries that a process has mapped; none after its end."""
    try:
        maps = pathlib.Path(f"/proc/{process}/maps").read_text()
    except OSError:
        return set()
    files = {line.split(maxsplit=5)[5] for line in maps.splitlines() if len(line.split(maxsplit=5)) > 5}
    return {file for file in files if pathlib.Path(file).name.startswith(("libcu", "libnv"))}


def read_ahead():
    """Reads the wheels' libraries once, in the background: from a cold disk, the first program that opens them would wait for each page."""

    def read():
        for place in folders():
            for library in sorted(place.glob("lib*.so*")):
                try:
                    with library.open("rb") as file:
                        while file.read(1 << 24):
                            pass
                except OSError:
                    pass  # whoever needs it will say so

    threading.Thread(target=read, daemon=True).start()
