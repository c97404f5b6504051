"""PyTorch's side of bench-step: the same step on the same extents, the same JSON lines.

Forward, cross-entropy, backward, SGD with momentum and decay, on fixed random images, channels last; f32 (TF32 in convolutions, as
by default) or autocast to bf16. cuDNN may try its algorithms out first, as everybody who wants speed lets it.
"""
import argparse
import json
import statistics
import time
import traceback

import torch
from networks import NETWORKS, build
from torch.nn.functional import cross_entropy


def one_step(network, images, labels, optimizer, bf16):
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        loss = cross_entropy(network(images), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def prepared(name, batch, device, compiled):
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    last = torch.channels_last
    network = build(name).to(device, memory_format=last)
    images = torch.randn(batch, 3, 32, 32, device=device).contiguous(memory_format=last)
    labels = torch.arange(batch, device=device) % 10
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.05, momentum=0.9, weight_decay=5e-4)
    return (torch.compile(network) if compiled else network), images, labels, optimizer


def measure(name, batch, device, bf16, compiled, warmup, steps):
    parts = prepared(name, batch, device, compiled)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    total, host = [], []
    for step in range(warmup + steps):
        wait()
        start = time.perf_counter()
        one_step(*parts, bf16)
        asked = time.perf_counter() - start
        wait()
        if step >= warmup:
            total.append(time.perf_counter() - start)
            host.append(asked)
    median = statistics.median(total)
    parameters = sum(parameter.numel() for parameter in parts[0].parameters() if parameter.requires_grad)
    return {
        "peer": "torch-compiled" if compiled else "torch", "version": torch.__version__, "model": name,
        "parameters": parameters, "batch": batch, "device": device, "variant": "bf16" if bf16 else "f32", "median_step_s": round(median, 6),
        "median_host_s": round(statistics.median(host), 6), "images_per_second": round(batch / median, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", choices=NETWORKS)
    parser.add_argument("--variant", action="append", choices=["f32", "bf16"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true")
    flags = parser.parse_args()
    for model in flags.model or NETWORKS:
        for variant in flags.variant or ["f32", "bf16"]:
            bf16 = variant == "bf16"
            try:
                line = measure(model, flags.batch, flags.device, bf16, flags.compile, flags.warmup, flags.steps)
            except Exception as error:  # the next case may do better
                traceback.print_exc()
                # Its name and message; a compiler's message has many lines, of which the second may name the cause.
                reason = " | ".join("".join(traceback.format_exception_only(error)).split("\n")[:3]).strip(" |")
                line = {"peer": "torch", "model": model, "variant": variant, "error": reason}
            print(json.dumps(line), flush=True)
