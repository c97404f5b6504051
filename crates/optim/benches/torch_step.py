"""PyTorch's time of one step over ResNet-18's parameters, one JSON line a case: what bench-optim is compared with.

    python crates/optim/benches/torch_step.py [case ...]

Muon takes the matrices and, flattened, the filters of the convolutions; AdamW the rest. PyTorch's Muon computes in bf16, so a line
"muon-f32" has the same with that type replaced by f32.
"""

import json
import os
import statistics
import sys
import time
from unittest import mock

import torch

torch.set_num_threads(int(os.environ.get("THREADS", os.cpu_count())))
WARM_UP, ROUNDS = 3, 15


def shapes():
    yield (64, 3, 3, 3)
    yield from [(64,)] * 2
    width_in = 64
    for width in (64, 128, 256, 512):
        for _ in range(2):
            yield (width, width_in, 3, 3)
            yield from [(width,)] * 2
            yield (width, width, 3, 3)
            yield from [(width,)] * 2
            if width != width_in:
                yield (width, width_in, 1, 1)
                yield from [(width,)] * 2
            width_in = width
    yield (10, 512)
    yield (10,)


def parameters(flat=False):
    out = []
    for shape in shapes():
        value = torch.randn(shape) * 0.05
        if flat and value.ndim > 2:
            value = value.flatten(1)
        out.append(torch.nn.Parameter(value))
        out[-1].grad = torch.randn_like(value) * 1e-3
    return out


def muon(dtype):
    every = parameters(flat=True)
    matrices = torch.optim.Muon([p for p in every if p.ndim == 2])
    rest = torch.optim.AdamW([p for p in every if p.ndim < 2])

    def step():
        with mock.patch.object(torch, "bfloat16", dtype):
            matrices.step()
        rest.step()

    return step


O = torch.optim
CASES = {
    "muon": lambda: muon(torch.bfloat16),
    "muon-f32": lambda: muon(torch.float32),
    "radam": lambda: O.RAdam(parameters(), foreach=True).step,
    "nadam": lambda: O.NAdam(parameters(), foreach=True).step,
    "adamax": lambda: O.Adamax(parameters(), foreach=True).step,
    "adagrad": lambda: O.Adagrad(parameters(), fused=True).step,
    "adadelta": lambda: O.Adadelta(parameters(), foreach=True).step,
    "sgd": lambda: O.SGD(parameters(), lr=0.01, fused=True).step,
    "sgd-momentum": lambda: O.SGD(parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True).step,
    "adamw": lambda: O.AdamW(parameters(), fused=True).step,
}


def main():
    for case in sys.argv[1:] or CASES:
        step = CASES[case]()
        seconds = []
        for _ in range(WARM_UP + ROUNDS):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        median = statistics.median(seconds[WARM_UP:])
        print(json.dumps({"peer": f"torch {torch.__version__}", "case": case, "median_step_s": round(median, 5)}), flush=True)


if __name__ == "__main__":
    main()
