"""The ten kernels that PyTorch's step spends most time in: what a profile of ours is read beside."""
import sys

import torch
from torch_step import one_step, prepared

model, batch, variant = sys.argv[1], int(sys.argv[2]), sys.argv[3]
parts = prepared(model, batch, "cuda", compiled=False)
bf16 = variant == "bf16"
for _ in range(5):
    one_step(*parts, bf16)
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
    for _ in range(5):
        one_step(*parts, bf16)
    torch.cuda.synchronize()
events = sorted(profile.key_averages(), key=lambda event: -event.self_device_time_total)
for event in events[:10]:
    print(f"{event.self_device_time_total / 5:10.1f} us a step {event.count // 5:4d} times  {event.key[:120]}")
