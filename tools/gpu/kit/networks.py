"""The networks that are timed, and PyTorch's side of them."""
import torch
from torch import nn

# The names that bench-step and `build` know. A network that is to be timed is added here, and its PyTorch side below.
NETWORKS = ["resnet20", "resnet18", "speednet"]

# Channels of the stages, and blocks in each.
RESNETS = {"resnet20": ((16, 32, 64), 3), "resnet18": ((64, 128, 256, 512), 2)}


def conv_norm(inputs, outputs, kernel, stride):
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; where the shape changes, a 1x1 convolution on the shortcut."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = conv_norm(inputs, outputs, 3, stride)
        self.second = conv_norm(outputs, outputs, 3, 1)
        changes = stride > 1 or inputs != outputs
        self.shortcut = conv_norm(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x):
        path = self.second(torch.relu(self.first(x)))
        return torch.relu(path + self.shortcut(x))


def build(name, classes=10):
    """A network for 32x32 images."""
    return speed_network(classes) if name == "speednet" else residual_network(*RESNETS[name], classes)


def residual_network(widths, depth, classes):
    """With the 3x3 stem."""
    layers, inputs = [conv_norm(3, widths[0], 3, 1), nn.ReLU()], widths[0]
    for stage, width in enumerate(widths):
        for index in range(depth):
            layers.append(BasicBlock(inputs, width, 2 if stage > 0 and index == 0 else 1))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def shift_norm(channels):
    """Batch norm whose scale stays 1."""
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad = False
    return norm


class Scaled(nn.Module):
    """A product with a number."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def speed_network(classes):
    """airbench94's: a whitening, whose filters are random here and not trained, and three groups of two convolutions."""
    whitening = nn.Conv2d(3, 24, 2)
    whitening.weight.requires_grad = False
    layers, inputs = [whitening, nn.GELU()], 24
    for width in (64, 256, 256):
        layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.MaxPool2d(2), shift_norm(width), nn.GELU()]
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), shift_norm(width), nn.GELU()]
        inputs = width
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(inputs, classes, bias=False), Scaled(1 / 9))
