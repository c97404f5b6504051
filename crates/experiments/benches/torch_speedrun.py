"""Twenty training steps of the recipe `speedrun` in PyTorch, timed; one JSON line.

    PYTHONPATH=tools/gpu/kit python crates/experiments/benches/torch_speedrun.py [--steps N] [--threads N]

Counted: moving and mirroring the images, forward, backward, SGD and Lookahead, on random images of CIFAR-10's size; the time does not depend on what
they show. Tensors are channels-last, PyTorch's faster layout. ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 keep it to AVX2.
"""
import argparse
import json
import os
import time

import torch
import torch.nn.functional as F
from networks import build

BATCH, RATE, MOMENTUM, PULL = 1024, 11.5 / (1024 * (1 + 1 / (1 - 0.85))), 0.85, 0.5


def moved(padded, epoch):
    """Each image shifted by up to two pixels, and in odd epochs mirrored."""
    views = padded.unfold(2, 32, 1).unfold(3, 32, 1)
    rows, columns = torch.randint(0, 5, (2, len(padded)))
    images = views[torch.arange(len(padded)), :, rows, columns]
    images = images.flip(3) if epoch % 2 else images
    return images.contiguous(memory_format=torch.channels_last)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    torch.manual_seed(0)

    padded = F.pad(torch.randn(4 * BATCH, 3, 32, 32), (2, 2, 2, 2), mode="reflect")
    labels = torch.randint(0, 10, (4 * BATCH,))
    network = build("speednet").to(memory_format=torch.channels_last).train()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=RATE, momentum=MOMENTUM, nesterov=True, weight_decay=1e-3)
    state = [value for value in network.state_dict().values() if value.dtype.is_floating_point]
    slow = [value.clone() for value in state]

    def step(index):
        part = slice(index % 4 * BATCH, (index % 4 + 1) * BATCH)
        images = moved(padded[part], index // 4)
        loss = F.cross_entropy(network(images), labels[part], label_smoothing=0.2, reduction="sum")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if (index + 1) % 5 == 0:
            with torch.no_grad():
                for old, new in zip(slow, state):
                    old.lerp_(new, PULL)
                    new.copy_(old)

    for index in range(3):
        step(index)
    start = time.perf_counter()
    for index in range(flags.steps):
        step(index)
    seconds = time.perf_counter() - start
    rate = round(flags.steps * BATCH / seconds, 1)
    print(json.dumps(dict(peer="pytorch", version=torch.__version__, threads=flags.threads, images_per_second=rate)))


if __name__ == "__main__":
    main()
