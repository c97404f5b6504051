"""The blocks of examples/separable.rs in PyTorch: channels-last f32 on two threads, JSON lines.

python torch_blocks.py
"""
import json
import statistics
import time

import torch
from torch import nn

torch.set_num_threads(2)
torch.manual_seed(1)

for side, inputs, outputs, stride in [(32, 64, 64, 1), (16, 128, 128, 1), (32, 64, 128, 2), (16, 128, 256, 2)]:
    block = nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(inplace=True),
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
    ).to(memory_format=torch.channels_last)
    x = torch.randn(128, inputs, side, side).to(memory_format=torch.channels_last).requires_grad_()
    forward, backward = [], []
    for round in range(23):
        x.grad = None
        block.zero_grad(set_to_none=True)
        start = time.perf_counter()
        loss = block(x).mean((2, 3)).sum()
        middle = time.perf_counter()
        loss.backward()
        end = time.perf_counter()
        if round >= 3:
            forward.append(middle - start)
            backward.append(end - middle)
    print(json.dumps(dict(
        peer=f"torch {torch.__version__}", block=f"separable {side}x{side} {inputs}-{outputs} s{stride}", variant="channels_last",
        forward_ms=1e3 * statistics.median(forward), backward_ms=1e3 * statistics.median(backward),
    )))
