"""The cases of bench_augment in torchvision, on one thread, as the same JSON lines.

    python crates/data/benches/torch_augment.py [--images DIR] [--count N]

`--images` is a folder of JPEG files, searched recursively; without it, only the case that needs no files runs.
"""
import argparse
import json
import time
from pathlib import Path

import torch
from PIL import Image
from torchvision import transforms

torch.set_num_threads(1)
torch.manual_seed(0)

CIFAR10 = transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def report(case, count, f):
    f(0)
    start = time.perf_counter()
    for index in range(count):
        f(index)
    rate = count / (time.perf_counter() - start)
    print(json.dumps(dict(peer="torchvision", case=case, images_per_second=round(rate, 1))), flush=True)


def opened(path):
    with Image.open(path) as image:
        return image.convert("RGB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path)
    parser.add_argument("--count", type=int, default=400)
    flags = parser.parse_args()

    pixels = torch.randint(0, 256, (3000, 32, 32, 3), dtype=torch.uint8).numpy()
    images = [Image.fromarray(image) for image in pixels]
    flipped = [transforms.RandomHorizontalFlip(), transforms.ToTensor(), CIFAR10]
    small = transforms.Compose([transforms.RandomCrop(32, padding=4), *flipped])
    report("pad4-crop32-flip-normalize", 30_000, lambda index: small(images[index % 3000]))

    if flags.images:
        # The first files in order of their names, as bench_augment takes them.
        files = sorted(path for path in flags.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[: flags.count]
        report("decode", len(files), lambda index: opened(files[index]))
        large = transforms.Compose([transforms.RandomResizedCrop(128, scale=(0.35, 1.0)), *flipped])
        report("decode-rrc128-flip-normalize", len(files), lambda index: large(opened(files[index])))


if __name__ == "__main__":
    main()
