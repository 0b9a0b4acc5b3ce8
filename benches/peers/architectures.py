"""The networks of benches/peers/networks.py: pixels to embeddings, as their sources have them."""

import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F


class ConvNet(nn.Module):
    """Four blocks of 3 x 3 convolution, batch norm, ReLU and 2 x 2 max-pooling, and a linear head."""

    def __init__(self, channels, size, embedding, dropout, width=64, blocks=4):
        super().__init__()
        layers = []
        for block in range(blocks):
            layers += [
                nn.Conv2d(channels if block == 0 else width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            ]
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width * (size >> blocks) ** 2, embedding)

    def forward(self, x):
        return self.head(self.dropout(self.features(x).flatten(1)))


class CasiaNet(nn.Module):
    """Yi et al. 2014, table 2: ten 3 x 3 convolutions with biases, no batch norm, ReLU after all but the last."""

    PLAN = [(32, 64), (64, 128), (96, 192), (128, 256), (160, 320)]

    def __init__(self, channels, size, embedding, dropout):
        super().__init__()
        layers = []
        for stage, (first, second) in enumerate(self.PLAN):
            last = stage == len(self.PLAN) - 1
            layers += [nn.Conv2d(channels, first, 3, padding=1), nn.ReLU(inplace=True)]
            layers += [nn.Conv2d(first, second, 3, padding=1)]
            layers += [] if last else [nn.ReLU(inplace=True), nn.MaxPool2d(2, ceil_mode=True)]
            channels = second
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, embedding)

    def forward(self, x):
        return self.head(self.dropout(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1)))


def googlenet(channels, size, embedding, dropout):
    net = torchvision.models.googlenet(
        weights=None, aux_logits=False, transform_input=False, init_weights=False, dropout=dropout
    )
    net.fc = nn.Linear(net.fc.in_features, embedding)
    return net


def resnet50(channels, size, embedding, dropout):
    net = torchvision.models.resnet50(weights=None)
    net.fc = nn.Sequential(nn.Dropout(dropout), nn.Linear(net.fc.in_features, embedding))
    return net


def vit_s16(channels, size, embedding, dropout):
    """ViT-S/16 of DeiT: 12 layers of 384, 6 heads; torchvision has only the larger ones by name."""
    net = torchvision.models.VisionTransformer(
        image_size=size, patch_size=16, num_layers=12, num_heads=6, hidden_dim=384, mlp_dim=1536, dropout=dropout
    )
    net.heads = nn.Linear(384, embedding)
    return net


def convnext_t(channels, size, embedding, dropout):
    net = torchvision.models.convnext_tiny(weights=None)
    net.classifier[2] = nn.Sequential(nn.Dropout(dropout), nn.Linear(768, embedding))
    return net


def efficientnet_lite0(channels, size, embedding, dropout):
    return timm.create_model("efficientnet_lite0", num_classes=embedding, drop_rate=dropout)


ARCHITECTURES = {
    "conv-net": ConvNet, "casia-net": CasiaNet, "googlenet": googlenet, "resnet50": resnet50, "vit-s16": vit_s16,
    "convnext-t": convnext_t, "efficientnet-lite0": efficientnet_lite0,
}  # fmt: skip


def build(name, channels, size, embedding, dropout):
    torch.manual_seed(1)
    return ARCHITECTURES[name](channels, size, embedding, dropout)
