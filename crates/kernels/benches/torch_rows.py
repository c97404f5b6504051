"""The cases of rows.rs in PyTorch, as the same JSON lines, on two threads.

python torch_rows.py [bf16]

ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 keep it to AVX2;
GLIBC_TUNABLES=glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=8589934592 spares it fresh pages.
"""
import json
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(2)
torch.manual_seed(0)


def time_of(f):
    for _ in range(3):
        f()
    begin, times = time.perf_counter(), []
    while len(times) < 7 or (time.perf_counter() - begin < 0.5 and len(times) < 1000):
        start = time.perf_counter()
        kept = f()
        times.append((time.perf_counter() - start) * 1e3)
        del kept
    return sorted(times)[len(times) // 2], min(times)


def case(name, x, f, parameters=()):
    forward = time_of(lambda: f(x))
    y = f(x)
    ones = torch.ones_like(y)
    # As a training step has it: gradients begin as None.
    backward = time_of(lambda: torch.autograd.grad(y, [x, *parameters], ones, retain_graph=True))
    isa = torch.backends.cpu.get_cpu_capability()
    times = dict(forward=forward[0], forward_least=forward[1], backward=backward[0], backward_least=backward[1])
    times = {name: round(value, 3) for name, value in times.items()}
    print(json.dumps(dict(case=name, dtype=str(x.dtype), set=isa, **times)), flush=True)


for dtype in [torch.bfloat16 if "bf16" in sys.argv else torch.float32]:
    for rows, classes in [(2048, 10_000), (2048, 10), (128, 10)]:
        logits = torch.randn(rows, classes).to(dtype).requires_grad_()
        numbers = torch.arange(rows) * 7 % classes
        for smoothing in [0.0, 0.1]:
            name = f"cross_entropy {rows}x{classes} smoothing {smoothing:g}"
            case(name, logits, lambda x: F.cross_entropy(x, numbers, label_smoothing=smoothing))
    x = torch.randn(8192, 768).to(dtype).requires_grad_()
    weight, bias = torch.ones(768, dtype=dtype, requires_grad=True), torch.zeros(768, dtype=dtype, requires_grad=True)
    case("layer_norm 8192x768", x, lambda x: F.layer_norm(x, (768,), weight, bias), (weight, bias))
    case("rms_norm 8192x768", x, lambda x: F.rms_norm(x, (768,), weight), (weight,))
    x = torch.randn(8192, 3072).to(dtype).requires_grad_()
    for name, f in [("gelu", F.gelu), ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh")), ("silu", F.silu)]:
        case(f"{name} 8192x3072", x, f)
