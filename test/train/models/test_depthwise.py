# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Gradients of depthwise convolutions in bf16 on the CPU."""

from lite_detector.train.models.blocks import depthwise
from lite_detector.train.models.depthwise import DepthwiseConv2d
import pytest
import torch
from torch import nn


@pytest.mark.parametrize(('kernel_size', 'stride', 'height', 'width'), [
    (5, 1, 6, 9), (5, 2, 6, 10), (5, 2, 7, 9), (3, 2, 8, 6), (3, 2, 5, 7), (3, 1, 4, 5),
    (5, 1, 1, 2), (5, 2, 1, 1)])
def test_gradients_in_bf16_are_those_of_torch(kernel_size, stride, height, width):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(4, kernel_size, stride)
    plain = nn.Conv2d(4, 4, kernel_size, stride, kernel_size // 2, groups=4, bias=False)
    weight = torch.randint(-3, 4, layer.weight.shape).float()  # integers are exact in bf16
    features = torch.randint(-2, 3, (2, 4, height, width)).float()
    results = []
    for conv, dtype in ((layer, torch.bfloat16), (plain, torch.float32)):
        conv.weight.data = weight.clone()
        given = features.to(dtype).requires_grad_()
        with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
            found = conv(given)
        (found.float() * torch.arange(found.shape[3])).sum().backward()
        results.append((found, given.grad, conv.weight.grad))
    for ours, wanted in zip(*results, strict=True):
        # bf16 has eight bits, so large sums are rounded
        torch.testing.assert_close(ours.float(), wanted, rtol=2 ** -7, atol=0.5)


def test_bf16_takes_the_fast_gradients():
    layer = DepthwiseConv2d(2, 5)
    with torch.autocast('cpu', torch.bfloat16):
        found = layer(torch.ones(1, 2, 4, 4, dtype=torch.bfloat16))
    assert type(found.grad_fn).__name__ == '_DepthwiseBackward'


def test_single_precision_keeps_the_gradients_of_torch():
    layer = DepthwiseConv2d(2, 5)
    assert type(layer(torch.ones(1, 2, 4, 4)).grad_fn).__name__ == 'ConvolutionBackward0'


def test_depthwise_layers_are_of_this_class():
    assert isinstance(depthwise(6, 5)[0], DepthwiseConv2d)
