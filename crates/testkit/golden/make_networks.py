#!/usr/bin/env python3
"""Writes reference features of networks that make_backbones.py leaves out, under weights made from a formula.
usage: make_networks.py OUTDIR SALT   (Python with torch 2.15, torchvision 0.29, timm 1.0.31, safetensors)

The formula is that of make_backbones.py (32-bit unsigned, wrapping): for the t-th tensor of the state dict in ascending
order of its key (num_batches_tracked left out of the list), element i in row-major order:
  h = i * 0x9E3779B1 + (t + SALT) * 0x85EBCA77;  h ^= h >> 16;  h *= 0x7FEB352D;  h ^= h >> 15;  h *= 0x846CA68B;  h ^= h >> 16
  u = h / 2^32 in [0, 1);  s = 2u - 1 in [-1, 1)
The first rule that fits a tensor makes its values, rounded to f32:
  1. key ends in running_var: 1 + 0.5 u;  2. in running_mean: 0.1 s
  3. two axes or more: s * sqrt(6 / product of all extents but the first). Weights of convolutions (depthwise ones too) and
     linear layers, but also class token (1, 1, D) and position embedding (1, T, D)
  4. one axis, key ends in weight: 1 + 0.1 s (batch norm, layer norm);  5. any other: 0.1 s (biases, layer scale `gamma`)
The input is the tensor t = 1,000,000 of the row's shape, each element s, rounded to f32 and then times the row's
input_scale: 100 for the networks of 2014, which take grey values from which the mean was taken, so that their response
normalisation has something to do.

Everything is computed in float64: gradients of a batch of two in train mode jump wherever a ReLU or a maximum changes sides, so
that what make_backbones.py finds in f32 for torchvision's GoogLeNet and ResNet-50 has norms that err by up to 7e-3. Features are stored as f32; a row has the norm of the gradient of mean(features^2) to
every parameter, in train mode with dropout off (no network here has drop path on). `frozen_norms`: train mode with the
batch norms in eval mode. Features are those below the classifier: timm's networks with num_classes = 0 give theirs
(class token of a ViT after the last norm; SigLIP: its attention pool's; ConvNeXt: mean over the map, then its norm).
"""
import json, sys, os, numpy as np, torch, torchvision, timm
from torch import nn
from safetensors.torch import save_file
out, salt = sys.argv[1], int(sys.argv[2]); os.makedirs(out, exist_ok=True); torch.set_num_threads(2)
M = np.uint32
def u01(t, n):
    with np.errstate(over="ignore"):
        h = np.arange(n, dtype=np.uint32) * M(0x9E3779B1) + M((t + salt) & 0xFFFFFFFF) * M(0x85EBCA77)
        h ^= h >> M(16); h *= M(0x7FEB352D); h ^= h >> M(15); h *= M(0x846CA68B); h ^= h >> M(16)
    return h.astype(np.float64) / 2**32
def fill(model):
    sd = model.state_dict(); keys = sorted(k for k in sd if not k.endswith("num_batches_tracked"))
    for t, k in enumerate(keys):
        v = sd[k]; u = u01(t, v.numel()); s = 2 * u - 1
        if k.endswith("running_var"): w = 1 + 0.5 * u
        elif k.endswith("running_mean"): w = 0.1 * s
        elif v.dim() >= 2: w = s * np.sqrt(6 / np.prod(v.shape[1:]))
        elif k.endswith("weight"): w = 1 + 0.1 * s
        else: w = 0.1 * s
        sd[k] = torch.tensor(w.reshape(v.shape), dtype=torch.float32)
    model.load_state_dict(sd); return keys

class Unit(nn.Module):
    """Convolution with a bias, then ReLU."""
    def __init__(self, i, o, k, act=True, **kw):
        super().__init__(); self.conv = nn.Conv2d(i, o, k, **kw); self.act = act
    def forward(self, x): x = self.conv(x); return x.relu() if self.act else x
class Inception(nn.Module):
    def __init__(self, i, n1, r3, n3, r5, n5, pool):
        super().__init__()
        self.branch1 = Unit(i, n1, 1)
        self.branch2 = nn.Sequential(Unit(i, r3, 1), Unit(r3, n3, 3, padding=1))
        self.branch3 = nn.Sequential(Unit(i, r5, 1), Unit(r5, n5, 5, padding=2))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), Unit(i, pool, 1))
    def forward(self, x): return torch.cat([b(x) for b in (self.branch1, self.branch2, self.branch3, self.branch4)], 1)
class OriginalGoogLeNet(nn.Module):
    """Szegedy et al. 2015 as BVLC published it: no batch norm, convolutions with biases, response normalisation after the
    first pool and after the second 3 x 3 convolution, 5 x 5 kernels, the fourth pool 3 x 3; keys as torchvision names them."""
    WIDTHS = dict(inception3a=(192, 64, 96, 128, 16, 32, 32), inception3b=(256, 128, 128, 192, 32, 96, 64),
                  inception4a=(480, 192, 96, 208, 16, 48, 64), inception4b=(512, 160, 112, 224, 24, 64, 64),
                  inception4c=(512, 128, 128, 256, 24, 64, 64), inception4d=(512, 112, 144, 288, 32, 64, 64),
                  inception4e=(528, 256, 160, 320, 32, 128, 128), inception5a=(832, 256, 160, 320, 32, 128, 128),
                  inception5b=(832, 384, 192, 384, 48, 128, 128))
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Unit(3, 64, 7, stride=2, padding=3), Unit(64, 64, 1), Unit(64, 192, 3, padding=1)
        for name, widths in self.WIDTHS.items(): setattr(self, name, Inception(*widths))
        self.pool, self.lrn = nn.MaxPool2d(3, 2, ceil_mode=True), nn.LocalResponseNorm(5, 1e-4, 0.75)
    def forward(self, x):
        x = self.lrn(self.pool(self.conv1(x)))
        x = self.pool(self.lrn(self.conv3(self.conv2(x))))
        for name in self.WIDTHS:
            if name[9:] in ("4a", "5a"): x = self.pool(x)
            x = getattr(self, name)(x)
        return x.mean((2, 3))
class CasiaNet(nn.Module):
    """Yi et al. 2014, table 2: 3 x 3 convolutions with biases, no ReLU after the last, pools that round up."""
    WIDTHS = [(32, 64), (64, 128), (96, 192), (128, 256), (160, 320)]
    def __init__(self):
        super().__init__(); i = 1
        for n, widths in enumerate(self.WIDTHS, 1):
            for m, o in enumerate(widths, 1):
                setattr(self, f"conv{n}{m}", nn.Conv2d(i, o, 3, padding=1)); i = o
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True)
    def forward(self, x):
        for n in range(1, 6):
            x = getattr(self, f"conv{n}1")(x).relu(); x = getattr(self, f"conv{n}2")(x)
            if n < 5: x = self.pool(x.relu())
        return x.mean((2, 3))
def resnet(name):
    m = getattr(torchvision.models, name)(weights=None); m.fc = nn.Identity(); return m
def googlenet():
    m = torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=False, transform_input=False); m.fc = nn.Identity(); return m
def vit(name, **kw): return timm.create_model(name, pretrained=False, num_classes=0, **kw)

# Case, model, input, its scale, settings that make the network, network.
spec = [("googlenet_original_96", "googlenet-original", (3, 96), 100, {}, OriginalGoogLeNet()),
        ("casia_net_100", "casia-net", (1, 100), 1, {}, CasiaNet()),
        ("googlenet_96", "googlenet", (3, 96), 1, {}, googlenet()),
        ("resnet50_64", "resnet50", (3, 64), 1, {}, resnet("resnet50")),
        ("resnet34_64", "resnet34", (3, 64), 1, {}, resnet("resnet34")),
        ("resnet18_64_frozen", "resnet18", (3, 64), 1, dict(frozen_norms=True), resnet("resnet18")),
        ("vit_s16_64", "vit-s16", (3, 64), 1, dict(position_size=64), vit("vit_small_patch16_224", img_size=64)),
        ("vit_s16_96_of_64", "vit-s16", (3, 96), 1, dict(position_size=64), vit("vit_small_patch16_224", img_size=64, dynamic_img_size=True)),
        ("dinov2_s14_56_of_518", "dinov2-s14", (3, 56), 1, dict(position_size=518), vit("vit_small_patch14_dinov2", dynamic_img_size=True)),
        ("convnext_t_64", "convnext-t", (3, 64), 1, {}, vit("convnext_tiny")),
        ("clip_b32_96", "clip-b32", (3, 96), 1, dict(position_size=96), vit("vit_base_patch32_clip_quickgelu_224", img_size=96)),
        ("siglip_b16_64_of_48", "siglip-b16", (3, 64), 1, dict(position_size=48), vit("vit_base_patch16_siglip_224", img_size=48, act_layer="gelu_tanh", dynamic_img_size=True)),
        ("mobilenetv3_small_64", "mobilenetv3-small", (3, 64), 1, {}, vit("mobilenetv3_small_100")),
        ("mobilenetv3_large_64", "mobilenetv3-large", (3, 64), 1, {}, vit("mobilenetv3_large_100")),
        ("efficientnet_lite0_64", "efficientnet-lite0", (3, 64), 1, {}, vit("tf_efficientnet_lite0"))]
rows, ts = [], {}
for case, model, (channels, hw), scale, kw, m in spec:
    keys = fill(m); m.double(); shape = (2, channels, hw, hw)
    s = torch.tensor((2 * u01(1_000_000, int(np.prod(shape))) - 1).reshape(shape), dtype=torch.float32)
    x = scale * s.double()
    m.eval()
    with torch.no_grad(): ts[f"{case}/eval_features"] = m(x).float()
    m.train()
    for d in m.modules():
        if isinstance(d, nn.Dropout): d.p = 0.0
        if kw.get("frozen_norms") and isinstance(d, nn.BatchNorm2d): d.eval()
    f = m(x); (f ** 2).mean().backward()
    ts[f"{case}/train_features"] = f.detach().float()
    norms = {k: float(f"{p.grad.norm():.9g}") for k, p in m.named_parameters()}
    rows.append(dict(case=case, model=model, input=list(shape), input_scale=scale, salt=salt, kwargs=kw, tensors=len(keys),
                     first_keys=keys[:6], eval_feature_norm=float(ts[f"{case}/eval_features"].double().norm()), gradient_norms=norms))
    print(case, tuple(f.shape), rows[-1]["eval_feature_norm"], min(norms.values()), max(norms.values()), flush=True)
save_file(ts, f"{out}/networks.safetensors"); json.dump(rows, open(f"{out}/networks.json", "w"), indent=1)
