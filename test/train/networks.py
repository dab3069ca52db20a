# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Networks with weights that are not trivial, and cards for them."""

from pathlib import Path
import struct

from lite_detector.core.config import from_mapping
from lite_detector.core.model_card import NetworkCard, PreprocessSpec
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.build import build_model
from lite_detector.train.weights.checkpoint import Checkpoint
from lite_detector.train.weights.conv_graph import reads_in_order
from lite_detector.train.weights.fused import convolutions, traced_convolutions
import msgspec
from tiny_models import ANCHORS, REG_MAX, tiny_card
import torch
from torch import nn
import yaml

ANDROID_NANODET = 'nanodet-m'
"""A second training of nanodet_m_320; the package has no card of it."""
WIDE_PLUS = 'nanodet_plus_m_15x_416'
"""Its file has the heads from stride 64 to stride 8."""
PUBLIC_NETWORKS = ('nanodet_m_320', ANDROID_NANODET, 'nanodet_m_416', 'nanodet_plus_m_416',
                   WIDE_PLUS, 'yolov5_lite_e_320', 'yolov5_lite_s_416')


def card_data(spec: ModelSpec) -> dict:
    """Return card data of a network with the anchors of the tiny models."""
    decode = {'reg_max': REG_MAX, 'grid_offset': 0.5}
    if spec.family == 'yolov5_lite':
        decode = {'anchors': [[list(anchor) for anchor in level] for level in ANCHORS]}
    if spec.family == 'yolof':
        decode = {'grid_offset': 0.5, 'center_clamp': 32, 'strides': build_model(spec).strides,
                  'anchors': [[list(anchor) for anchor in ANCHORS[-1]]]}
    data = tiny_card(spec.family, decode, spec.num_classes)
    data['decode']['strides'] = list(build_model(spec).strides)
    if max(data['decode']['strides'][:3]) > 32:
        data['input_size']['width'] = 128
    return data


def network_card(spec: ModelSpec) -> NetworkCard:
    """Return the same data as in a checkpoint."""
    data = card_data(spec)
    return from_mapping({name: data[name] for name in NetworkCard.__struct_fields__
                         if name in data}, NetworkCard, 'test')


def trained_model(spec: ModelSpec) -> nn.Module:
    """Return a network in evaluation mode whose batch norms and outputs are not trivial."""
    model = build_model(spec)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, std=0.2)
                nn.init.normal_(layer.running_mean, std=0.2)
                nn.init.uniform_(layer.running_var, 0.5, 1.5)
            elif isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
    return model.eval()


def trained_checkpoint(spec: ModelSpec, class_names: tuple[str, ...] | None = None,
                       preprocess: PreprocessSpec | None = None) -> Checkpoint:
    """Return a checkpoint of such a network; None takes the value of the tiny cards."""
    card = network_card(spec)
    card = msgspec.structs.replace(card, class_names=class_names or card.class_names,
                                   preprocess=preprocess or card.preprocess)
    return Checkpoint(spec, card, trained_model(spec).state_dict())


@torch.no_grad()
def write_ncnn(folder: Path, model: nn.Module, spec: ModelSpec,
               last_head_first: bool = False) -> Path:
    """
    Write the convolutions of a network as ncnn files, batch norm fused, weights in fp32.

    Operations between convolutions are left out: a convolution that reads several has several
    inputs.

    :param last_head_first: write the layers in the order of a walk from the last head on, instead
        of the order in which they run.
    """
    card = card_data(spec)
    reads = traced_convolutions(model)
    names = {pair: f'conv{index}' for index, pair in enumerate(reads)}
    heads = [pair for pair in reads if not any(pair in read for read in reads.values())]
    outputs = [f'head{stride}' for stride in card['decode']['strides']]
    card['runtimes']['ncnn']['outputs'] = outputs
    order = convolutions(model)
    if last_head_first:
        order = list(reads_in_order(heads[::-1], lambda pair: sorted(
            reads[pair], key=lambda each: names[each]), lambda pair: True))
    lines, chunks = ['Input data 0 1 data'], []
    for conv, norm in order:
        weight, bias = conv.weight, conv.bias
        if norm is not None:
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            weight = weight * gain[:, None, None, None]
            bias = norm.bias - gain * norm.running_mean
        kind, groups = 'Convolution', ''
        if conv.groups > 1:
            kind, groups = 'ConvolutionDepthWise', f' 7={conv.groups}'
        name = names[conv, norm]
        sources = sorted(reads[conv, norm], key=list(reads).index)
        bottoms = [f'{names[pair]}_out' for pair in sources] or ['data']
        lines.append(f'{kind} {name} {len(bottoms)} 1 {" ".join(bottoms)} {name}_out '
                     f'0={conv.out_channels} '
                     f'1={conv.kernel_size[0]} 2={conv.dilation[0]} 3={conv.stride[0]} '
                     f'4={conv.padding[0]} 5=1 6={weight.numel()}{groups}')
        chunks += [struct.pack('<I', 0), weight.numpy().tobytes(), bias.numpy().tobytes()]
    share = len(heads) // len(outputs)
    for index, output in enumerate(outputs):
        bottoms = [f'{names[pair]}_out' for pair in heads[index * share:(index + 1) * share]]
        lines.append(f'Concat {output} {share} 1 {" ".join(bottoms)} {output}')
    folder.mkdir()
    (folder / 'card.yaml').write_text(yaml.safe_dump(card))
    header = ['7767517', f'{len(lines)} {len(lines)}']
    (folder / 'model.param').write_text('\n'.join([*header, *lines]))
    (folder / 'model.bin').write_bytes(b''.join(chunks))
    return folder
