# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Transfer from other weights: classes are matched by name, and errors name the mismatch."""

from pathlib import Path

from lite_detector.core.errors import ModelError
from lite_detector.detector import Detector, Selection
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.build import build_model
from lite_detector.train.torch_backend import TorchBackend
from lite_detector.train.weights.checkpoint import Checkpoint
from lite_detector.train.weights.transfer import init_backbone, transfer_weights
import msgspec
from networks import network_card, trained_checkpoint, trained_model
import numpy as np
import pytest
import torch
import torchvision

SMALLEST = {'nanodet': '0.5x', 'nanodet_plus': 'm-0.5x', 'yolov5_lite': 'e', 'yolof': '0.5x',
            'damo_yolo': 'ns'}
EVERY_FAMILY = pytest.mark.parametrize('family', SMALLEST)
OLD_NAMES = ('object0', 'object1', 'object2')


def checkpoint_of(family: str) -> Checkpoint:
    return trained_checkpoint(ModelSpec(family, SMALLEST[family], 3, num_anchors=2))


def spec_for(checkpoint: Checkpoint, names: tuple[str, ...], **changes) -> ModelSpec:
    return msgspec.structs.replace(checkpoint.spec, num_classes=len(names), **changes)


def last_layers(model: torch.nn.Module) -> list[torch.nn.Conv2d]:
    outputs = getattr(model, 'head', model).outputs
    return list(outputs.values() if isinstance(outputs, torch.nn.ModuleDict) else outputs)


@EVERY_FAMILY
def test_transfer_to_other_order_of_names_finds_the_same(family):
    checkpoint = checkpoint_of(family)
    names = ('object2', 'object0', 'object1')
    model, report = transfer_weights(checkpoint, spec_for(checkpoint, names), names)
    assert model.training and report == (names, (), True, False)
    card = msgspec.structs.replace(checkpoint.card, class_names=names)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    # of two random factors one is always low
    selection = Selection(score_threshold=0.0 if family == 'yolof' else 0.3)
    before = Detector(checkpoint.card, TorchBackend(checkpoint.model()), selection).detect(image)
    after = Detector(card, TorchBackend(model), selection).detect(image)
    assert len(before) > 0
    np.testing.assert_allclose(after.boxes_xyxy, before.boxes_xyxy, atol=1e-3)
    assert ([names[index] for index in after.class_ids]
            == [OLD_NAMES[index] for index in before.class_ids])


@EVERY_FAMILY
def test_transfer_starts_new_classes_like_a_fresh_network(family):
    checkpoint = checkpoint_of(family)
    names = ('drone', 'object1')
    torch.manual_seed(1)
    model, report = transfer_weights(checkpoint, spec_for(checkpoint, names), names)
    assert report == (('object1',), ('drone',), True, False)
    torch.manual_seed(1)
    checkpoint.model()  # draws as many numbers as in the function
    fresh = build_model(spec_for(checkpoint, names))
    for conv, new, old in zip(last_layers(model), last_layers(fresh),
                              last_layers(checkpoint.model()), strict=True):
        for rows, new_rows, old_rows in ((conv.weight, new.weight, old.weight),
                                         (conv.bias, new.bias, old.bias)):
            if family == 'yolov5_lite':
                rows, new_rows, old_rows = (each.unflatten(0, (2, -1))[0]
                                            for each in (rows, new_rows, old_rows))
                # five of the box, then the classes
                assert torch.equal(rows[:5], old_rows[:5])
                assert torch.equal(rows[5], new_rows[5]) and torch.equal(rows[6], old_rows[6])
            elif family == 'yolof':
                rows, new_rows, old_rows = (each.unflatten(0, (2, -1))
                                            for each in (rows, new_rows, old_rows))
                if rows.shape == old_rows.shape:  # boxes have a convolution of their own
                    assert torch.equal(rows, old_rows) and rows.shape[1] == 5
                else:
                    assert torch.equal(rows[:, 0], new_rows[:, 0])
                    assert torch.equal(rows[:, 1], old_rows[:, 1])
            else:
                assert torch.equal(rows[0], new_rows[0]) and torch.equal(rows[1], old_rows[1])
                assert torch.equal(rows[2:], old_rows[3:])


@pytest.mark.parametrize('family, changes, classes_kept', [
    ('nanodet', {'reg_max': 10}, True), ('yolov5_lite', {'num_anchors': 3}, False),
    ('yolof', {'num_anchors': 3}, False)])
def test_transfer_to_boxes_of_another_kind_starts_them_from_scratch(family, changes,
                                                                    classes_kept):
    checkpoint = checkpoint_of(family)
    model, report = transfer_weights(checkpoint, spec_for(checkpoint, OLD_NAMES, **changes),
                                     OLD_NAMES)
    assert not report.boxes_kept
    assert report.matched == (OLD_NAMES if classes_kept else ())
    assert report.fresh == (() if classes_kept else OLD_NAMES)
    assert torch.equal(next(model.parameters()), next(checkpoint.model().parameters()))


def test_transfer_from_another_network_names_both():
    checkpoint = checkpoint_of('nanodet')
    for spec in (ModelSpec('nanodet', '1.0x', 3), ModelSpec('yolov5_lite', 'e', 3)):
        with pytest.raises(ModelError, match=f'cannot start a {spec.family} {spec.variant} from '
                                             'the weights of a nanodet 0.5x'):
            transfer_weights(checkpoint, spec, OLD_NAMES)


def test_transfer_with_too_few_names_says_so():
    checkpoint = checkpoint_of('nanodet')
    with pytest.raises(ModelError, match='2 class names; expected 3'):
        transfer_weights(checkpoint, checkpoint.spec, ('a', 'b'))


@pytest.fixture
def backbone_path(tmp_path) -> Path:
    path = tmp_path / 'shufflenet.pth'
    torch.save(torchvision.models.shufflenet_v2_x0_5().state_dict(), path)
    return path


def test_init_backbone_takes_the_weights_of_torchvision(backbone_path):
    model = build_model(ModelSpec('nanodet', '0.5x', 2))
    init_backbone(model, backbone_path)
    wanted = torch.load(backbone_path, weights_only=True)
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, wanted[name])


def test_init_backbone_of_another_width_says_so(backbone_path):
    for spec in (ModelSpec('nanodet', '1.0x', 2), ModelSpec('yolov5_lite', 'e', 2)):
        with pytest.raises(ModelError, match='shufflenet.pth: not a ShuffleNetV2 of this width'):
            init_backbone(build_model(spec), backbone_path)


def test_init_backbone_from_what_is_no_state_dict_says_so(tmp_path):
    model = build_model(ModelSpec('nanodet', '0.5x', 2))
    path = tmp_path / 'x.pth'
    with pytest.raises(ModelError, match='x.pth: No such file'):
        init_backbone(model, path)
    path.write_bytes(b'no weights')
    with pytest.raises(ModelError, match='x.pth: malformed, or not a file of weights'):
        init_backbone(model, path)
    for content in ([torch.zeros(1)], {'state_dict': {}, 'epoch': 3}):
        torch.save(content, path)
        with pytest.raises(ModelError, match='x.pth: .*expected .*names and tensors'):
            init_backbone(model, path)


@pytest.mark.parametrize(('family', 'old', 'new'), [
    ('nanodet_plus', 'm-0.5x', 'm-coarse'), ('yolof', '1.0x-dc5', '0.5x'),
    ('yolof', '1.0x', '1.0x-dc5')])
def test_transfer_between_networks_of_other_steps_is_refused(family, old, new):
    spec = ModelSpec(family, old, 2)
    checkpoint = Checkpoint(spec, network_card(spec), trained_model(spec).state_dict())
    with pytest.raises(ModelError, match='cannot start a '):
        transfer_weights(checkpoint, ModelSpec(family, new, 2), ('object0', 'object1'))


def test_init_backbone_of_a_family_with_one_of_its_own_says_so(backbone_path):
    with pytest.raises(ModelError, match='start.backbone: expected a family'):
        init_backbone(build_model(ModelSpec('damo_yolo', 'ns', 2)), backbone_path)


def test_transfer_to_coarser_steps_finds_what_it_found_at_half_the_size():
    spec = ModelSpec('nanodet_plus', 'm', 2)
    checkpoint = Checkpoint(spec, network_card(spec), trained_model(spec).state_dict())
    coarse = ModelSpec('nanodet_plus', 'm-coarse', 2)
    model, report = transfer_weights(checkpoint, coarse, ('object0', 'object1'))
    assert report == (('object0', 'object1'), (), True, False)
    assert model.strides == (16, 32, 64)
    images = torch.rand(2, 3, 128, 192)
    with torch.no_grad():
        found = model.eval()(images)
        wanted = checkpoint.model().eval()(torch.nn.functional.avg_pool2d(images, 2))
    assert len(found) == 3 < len(wanted) == 4
    for head, fine in zip(found, wanted, strict=False):
        torch.testing.assert_close(head, fine, rtol=0, atol=1e-4 * fine.abs().max())
