# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Real networks of one convolution per stride, small enough to work out by hand.

Without a seed they find squares of 32 x 32 pixels on the grid of 32: channel c of the input
lights up class c. The box is the square; a full channel (255) scores ``sigmoid(10)``, an empty
one ``sigmoid(-10)``. With a seed the weights are random, to compare runtimes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
import yaml

STRIDES = (8, 16, 32)
REG_MAX = 7
ANCHORS = (((10, 13), (16, 30)), ((30, 61), (62, 45)), ((32, 32), (156, 198)))
GAIN = 20.0
BIAS = -10.0
Layer = tuple[np.ndarray, np.ndarray]


def write_tiny_nanodet(folder: Path, num_classes: int = 2, seed: int | None = None) -> Path:
    """Write a model folder of family nanodet for both runtimes."""
    decode = {'reg_max': REG_MAX, 'grid_offset': 0.5}
    channels = num_classes + 4 * (REG_MAX + 1)
    layers = [_random_layer(stride, channels, seed) for stride in STRIDES]
    if seed is None:
        layers = [_quiet_layer(stride, channels) for stride in STRIDES]
        weight, bias = layers[-1]
        _light_classes(weight[:num_classes], bias[:num_classes])
        # all the weight on bins 0 and 1: each side half a stride from the centre
        bias[num_classes:].reshape(4, REG_MAX + 1)[:, :2] = 50
    return _write_folder(folder, 'nanodet', decode, num_classes, layers)


def write_tiny_yolov5(folder: Path, num_classes: int = 2, seed: int | None = None) -> Path:
    """Write a model folder of family yolov5_lite, two anchors per stride, for both runtimes."""
    decode = {'anchors': [[list(anchor) for anchor in level] for level in ANCHORS]}
    channels = len(ANCHORS[0]) * (5 + num_classes)
    layers = [_random_layer(stride, channels, seed) for stride in STRIDES]
    if seed is None:
        layers = [_quiet_layer(stride, channels) for stride in STRIDES]
        weight, bias = layers[-1]
        # the first anchor of 32 x 32: logits of 0 put it right on its cell
        bias[:4] = 0
        bias[4] = 100
        _light_classes(weight[5:5 + num_classes], bias[5:5 + num_classes])
    return _write_folder(folder, 'yolov5_lite', decode, num_classes, layers)


def write_tiny_yolof(folder: Path, num_classes: int = 2, seed: int | None = None) -> Path:
    """Write a model folder of family yolof, two anchors at stride 32, for both runtimes."""
    decode = {'strides': [32], 'grid_offset': 0.5, 'center_clamp': 32,
              'anchors': [[list(anchor) for anchor in ANCHORS[-1]]]}
    boxes = 5 * len(ANCHORS[-1])
    channels = boxes + len(ANCHORS[-1]) * num_classes
    layer = _random_layer(32, channels, seed)
    if seed is None:
        layer = weight, bias = _quiet_layer(32, channels)
        # the first anchor of 32 x 32: deltas of 0 put it right on its cell
        bias[:5] = (0, 0, 0, 0, 100)
        _light_classes(weight[boxes:boxes + num_classes], bias[boxes:boxes + num_classes])
    return _write_folder(folder, 'yolof', decode, num_classes, [layer])


def write_tiny_damo_yolo(folder: Path, num_classes: int = 2, seed: int | None = None) -> Path:
    """Write a model folder of family damo_yolo, whose cells have their place at a corner."""
    channels = num_classes + 4 * (REG_MAX + 1)
    layers = [_random_layer(stride, channels, seed) for stride in STRIDES]
    if seed is None:
        layers = [_quiet_layer(stride, channels) for stride in STRIDES]
        weight, bias = layers[-1]
        _light_classes(weight[:num_classes], bias[:num_classes])
        # no way to the left and the top, a whole stride to the right and the bottom
        bias[num_classes:].reshape(4, REG_MAX + 1)[[0, 1, 2, 3], [0, 0, 1, 1]] = 50
    return _write_folder(folder, 'damo_yolo', {'reg_max': REG_MAX, 'grid_offset': 0.0},
                         num_classes, layers)


def write_decoded_damo_yolo(folder: Path, num_classes: int = 2) -> Path:
    """
    Write what the authors of DAMO-YOLO export: ONNX of a fixed size that gives scores and boxes.

    The second output has a number for a name, as theirs.
    """
    folder.mkdir(parents=True)
    card = tiny_card('damo_yolo', {'reg_max': REG_MAX, 'grid_offset': 0.0}, num_classes)
    card['decode']['score_activation'] = 'none'
    card['preprocess'].update(resize='stretch', color='rgb')
    card['runtimes'] = {'onnx': {'file': 'model.onnx', 'input': 'images',
                                 'outputs': ['output', '952']}}
    (folder / 'card.yaml').write_text(yaml.safe_dump(card, sort_keys=False))
    height, width = card['input_size'].values()
    nodes, weights, boxes, parts = [], [], [], []
    for stride in STRIDES:
        weight, bias = _quiet_layer(stride, num_classes)
        if stride == STRIDES[-1]:
            _light_classes(weight, bias)
        y, x = (np.mgrid[:height // stride, :width // stride] * stride).reshape(2, -1)
        boxes.append(np.stack((x, y, x + stride, y + stride), axis=1))
        weights += [numpy_helper.from_array(weight, f'weight{stride}'),
                    numpy_helper.from_array(bias, f'bias{stride}')]
        nodes += [helper.make_node('Conv', ['images', f'weight{stride}', f'bias{stride}'],
                                   [f'head{stride}'], strides=[stride, stride]),
                  helper.make_node('Reshape', [f'head{stride}', 'rows'], [f'rows{stride}'])]
        parts.append(f'rows{stride}')
    boxes = np.concatenate(boxes).astype(np.float32)[None]
    weights += [numpy_helper.from_array(np.array([1, num_classes, -1]), 'rows'),
                numpy_helper.from_array(boxes, 'boxes')]
    nodes += [helper.make_node('Concat', parts, ['logits'], axis=2),
              helper.make_node('Transpose', ['logits'], ['cells'], perm=[0, 2, 1]),
              helper.make_node('Sigmoid', ['cells'], ['output']),
              helper.make_node('Identity', ['boxes'], ['952'])]
    outputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape
               in (('output', [1, boxes.shape[1], num_classes]), ('952', list(boxes.shape)))]
    images = helper.make_tensor_value_info('images', onnx.TensorProto.FLOAT,
                                           [1, 3, height, width])
    graph = helper.make_graph(nodes, 'decoded', [images], outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)],
                                ir_version=8), folder / 'model.onnx')
    return folder


def write_gather_nanodet(folder: Path) -> Path:
    """
    Write a model folder whose ONNX shuffles channels by Gather before the head of stride 32.

    OpenVINO folds that Gather into the convolution after it with the inverse permutation, and so
    gives wrong outputs without an error (2025.4 and 2026.4). The ncnn files compute the same in
    one convolution.
    """
    num_classes, hidden = 2, 24
    channels = num_classes + 4 * (REG_MAX + 1)
    layers = [_random_layer(stride, channels, 1) for stride in STRIDES]
    stem, stem_bias = _random_layer(32, hidden, 2)
    head, head_bias = _random_layer(1, channels, 3)
    head = head[:, :1].repeat(hidden, axis=1) * np.random.default_rng(4).normal(
        0, 1, (1, hidden, 1, 1)).astype(np.float32)
    order = np.arange(hidden).reshape(3, -1).T.ravel()  # three groups: not its own inverse
    layers[-1] = (np.einsum('oc,cihw->oihw', head[:, :, 0, 0], stem[order]),
                  head[:, :, 0, 0] @ stem_bias[order] + head_bias)
    _write_folder(folder, 'nanodet', {'reg_max': REG_MAX, 'grid_offset': 0.5}, num_classes, layers)
    model = onnx.load(folder / 'model.onnx')
    graph = model.graph
    del graph.node[-1]
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in (
            ('stem', stem), ('stem_bias', stem_bias), ('order', order), ('head', head),
            ('head_bias', head_bias)))
    graph.node.extend([
        helper.make_node('Conv', ['images', 'stem', 'stem_bias'], ['stemmed'], strides=[32, 32]),
        helper.make_node('Gather', ['stemmed', 'order'], ['shuffled'], axis=1),
        helper.make_node('Conv', ['shuffled', 'head', 'head_bias'], ['head32'])])
    onnx.save(model, folder / 'model.onnx')
    return folder


def tiny_card(family: str, decode: dict[str, Any], num_classes: int) -> dict[str, Any]:
    """Return the card as plain data: BGR in [0, 1], padded with black to a multiple of 32."""
    outputs = [f'head{stride}' for stride in decode.get('strides', STRIDES)]
    return {
        'format': 1,
        'name': f'tiny_{family}',
        'family': family,
        'description': 'one convolution per stride',
        'license': 'Apache-2.0',
        'source': 'test/tiny_models.py',
        'input_size': {'height': 64, 'width': 96},
        'preprocess': {'resize': 'letterbox_rect', 'color': 'bgr',
                       'mean': [0, 0, 0], 'std': [255, 255, 255]},
        'decode': {'strides': list(STRIDES), 'score_activation': 'sigmoid', **decode},
        'runtimes': {
            'ncnn': {'param': 'model.param', 'bin': 'model.bin', 'input': 'images',
                     'outputs': outputs},
            'onnx': {'file': 'model.onnx', 'input': 'images', 'outputs': outputs},
        },
        'class_names': [f'object{index}' for index in range(num_classes)],
    }


def change_card(folder: Path, dotted_key: str, *value: Any) -> None:
    """Set a key of a card, or delete it where no value is given."""
    path = folder / 'card.yaml'
    card = yaml.safe_load(path.read_text())
    *parents, last = dotted_key.split('.')
    section = card
    for key in parents:
        section = section[key]
    if value:
        section[last] = value[0]
    else:
        del section[last]
    path.write_text(yaml.safe_dump(card, sort_keys=False))


def square_image(height: int, width: int, top: int, left: int, color=(255, 255, 255),
                 side: int = 32) -> np.ndarray:
    """Return a black picture with one square, uint8 BGR."""
    image = np.zeros((height, width, 3), np.uint8)
    image[top:top + side, left:left + side] = color
    return image


def write_ncnn(param: Path, weights: Path, layers: list[Layer]) -> None:
    """
    Write a network in ncnn's own format.

    A convolution in ``.bin`` is the tag 0 (float32) in four bytes, its weights and its bias.
    """
    lines = ['Input images 0 1 images',
             f'Split split 1 {len(layers)} images '
             + ' '.join(f'images_{index}' for index in range(len(layers)))]
    data = b''
    for index, (weight, bias) in enumerate(layers):
        side = weight.shape[-1]
        lines.append(f'Convolution conv{index} 1 1 images_{index} head{side} 0={len(bias)} '
                     f'1={side} 3={side} 5=1 6={weight.size}')
        data += bytes(4) + weight.tobytes() + bias.tobytes()
    blobs = 1 + 2 * len(layers)
    param.write_text('\n'.join(['7767517', f'{len(lines)} {blobs}', *lines]) + '\n')
    weights.write_bytes(data)


def write_onnx(path: Path, layers: list[Layer], height: int | str = 'height',
               width: int | str = 'width') -> None:
    """Write the same network as ONNX; its input size is free unless one is given."""
    nodes, weights, outputs = [], [], []
    for weight, bias in layers:
        side = weight.shape[-1]
        weights += [numpy_helper.from_array(weight, f'weight{side}'),
                    numpy_helper.from_array(bias, f'bias{side}')]
        nodes.append(helper.make_node('Conv', ['images', f'weight{side}', f'bias{side}'],
                                      [f'head{side}'], strides=[side, side]))
        outputs.append(helper.make_tensor_value_info(f'head{side}', onnx.TensorProto.FLOAT,
                                                     [1, len(bias), None, None]))
    images = helper.make_tensor_value_info('images', onnx.TensorProto.FLOAT,
                                           [1, 3, height, width])
    graph = helper.make_graph(nodes, 'tiny', [images], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.save(model, path)


def _write_folder(folder: Path, family: str, decode: dict[str, Any], num_classes: int,
                  layers: list[Layer]) -> Path:
    folder.mkdir(parents=True)
    card = tiny_card(family, decode, num_classes)
    (folder / 'card.yaml').write_text(yaml.safe_dump(card, sort_keys=False))
    write_ncnn(folder / 'model.param', folder / 'model.bin', layers)
    write_onnx(folder / 'model.onnx', layers)
    return folder


def _random_layer(stride: int, channels: int, seed: int | None) -> Layer:
    random = np.random.default_rng(seed)
    weight = random.normal(0, 1 / stride, (channels, 3, stride, stride))
    return weight.astype(np.float32), random.normal(0, 1, channels).astype(np.float32)


def _quiet_layer(stride: int, channels: int) -> Layer:
    weight = np.zeros((channels, 3, stride, stride), np.float32)
    return weight, np.full(channels, BIAS, np.float32)


def _light_classes(weight: np.ndarray, bias: np.ndarray) -> None:
    cells = weight.shape[-1] * weight.shape[-2]
    for class_id in range(len(bias)):
        weight[class_id, class_id % 3] = GAIN / cells
    bias[:] = BIAS
