# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A narrow network from a wide one: its channels, followed by hand."""

from collections.abc import Callable

from lite_detector.core.errors import ModelError
from lite_detector.train.config.model import ModelSpec, VARIANTS
from lite_detector.train.models.backbones.shufflenet_v2 import ShuffleUnit
from lite_detector.train.models.blocks import RELU
from lite_detector.train.models.build import build_model
from lite_detector.train.weights.narrow import spread, strongest, subset_weights
from lite_detector.train.weights.transfer import OUTPUTS, transfer_weights
from networks import trained_checkpoint, trained_model
import pytest
import torch
from torch import nn, Tensor
from torch.nn import functional

NO_OUTPUTS = 'outputs.'
FOLLOWED = pytest.mark.parametrize('family', sorted(VARIANTS.keys() - {'damo_yolo'}))


class Net(nn.Module):
    """A network whose forward pass is a function of its layers."""

    def __init__(self, work: Callable[[nn.ModuleList, Tensor], Tensor], *layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self._work = work

    def forward(self, images: Tensor) -> Tensor:
        return self._work(self.layers, images)


def in_a_row(layers: nn.ModuleList, images: Tensor) -> Tensor:
    for layer in layers:
        images = layer(images)
    return images


def numbered(in_channels: int, out_channels: int, **options) -> nn.Conv2d:
    """Return a 1x1 convolution whose weight says where it comes from: 100 * row + column."""
    conv = nn.Conv2d(in_channels, out_channels, 1, **options)
    rows, columns = torch.arange(out_channels), torch.arange(conv.weight.shape[1])
    conv.weight.data = (100. * rows[:, None] + columns)[..., None, None]
    return conv


def sources(weight: Tensor, stands_for: float) -> tuple[list[int], list[list[int]]]:
    """Return the rows and the columns that a weight was taken from."""
    places = (weight[..., 0, 0] / stands_for).round().int()
    return (places[:, 0] // 100).tolist(), (places % 100).tolist()


def test_spread_takes_the_centres_of_equal_bins():
    for count, total, wanted in ((2, 4, [1, 3]), (1, 5, [2]), (3, 3, [0, 1, 2]),
                                 (2, 3, [0, 2]), (4, 6, [0, 2, 3, 5])):
        assert spread(count, total).channels.tolist() == wanted
    halves = spread(24, 58).channels
    assert torch.equal(spread(48, 116).channels, torch.cat((halves, halves + 58)))


@FOLLOWED
def test_same_width_takes_everything_as_it_is(family):
    for variant in VARIANTS[family]:
        spec = ModelSpec(family, variant, 2)
        wide = trained_model(spec).train()
        weights = subset_weights(wide, build_model(spec), OUTPUTS[family])
        assert weights.keys() == wide.state_dict().keys()
        assert all(torch.equal(value, wide.state_dict()[name])
                   for name, value in weights.items())


def test_channels_that_are_all_alike_in_a_bin_give_what_they_gave():
    narrow = Net(in_a_row, nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.ReLU(),
                 nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(2, 3, 1)).eval()
    wide = Net(in_a_row, nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
               nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 6, 1)).eval()
    norm = narrow.layers[1]
    for values in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        nn.init.uniform_(values, 0.5, 1.5)
    state = {name: value if not value.ndim else value.repeat_interleave(2, 0)
             for name, value in narrow.state_dict().items()}
    state['layers.4.weight'] = state['layers.4.weight'].repeat_interleave(2, 1) / 2
    wide.load_state_dict(state)
    wanted = {name: value.clone() for name, value in narrow.state_dict().items()}
    images = torch.randn(2, 3, 5, 7)
    before = wide(images)[:, ::2]
    narrow.load_state_dict(subset_weights(wide, narrow, NO_OUTPUTS))
    for name, value in narrow.state_dict().items():
        torch.testing.assert_close(value, wanted[name])
    torch.testing.assert_close(narrow(images), before)


def test_strongest_takes_the_first_of_equals_in_each_bin():
    assert strongest(2, torch.tensor([1., 1, 0, 2, 2])).channels.tolist() == [0, 3]
    assert strongest(3, torch.tensor([5., 4, 6])).channels.tolist() == [0, 1, 2]


def test_strongest_channel_of_each_bin_is_taken_where_nothing_is_added_to_it():
    def work(layers: nn.ModuleList, images: Tensor) -> Tensor:
        images = functional.relu(layers[1](layers[0](images)))
        images = layers[3](layers[2](images))
        return images + layers[4](images)
    narrow, wide = (Net(work, numbered(3, count), nn.BatchNorm2d(count), numbered(count, count),
                        nn.BatchNorm2d(count), numbered(count, count)) for count in (2, 5))
    for norm in (wide.layers[1], wide.layers[3]):
        norm.weight.data = torch.tensor([-3., 2, 1, 1, 4])
    weights = subset_weights(wide, narrow, NO_OUTPUTS)
    assert sources(weights['layers.0.weight'], 1)[0] == [0, 4]  # bins 0 1 and 2 3 4
    assert sources(weights['layers.2.weight'], 5 / 2) == ([1, 3], [[0, 4]] * 2)
    assert weights['layers.1.weight'].tolist() == [-3, 4]


def test_what_passes_by_a_shuffle_unit_stays_in_its_place():
    def net(channels: int) -> nn.Module:
        return Net(in_a_row, nn.Conv2d(3, channels, 1), ShuffleUnit(channels, channels, 1, RELU),
                   numbered(channels, channels)).eval()
    narrow, wide = net(4), net(8)
    # 1 3 5 7 come in, of which 1 3 move to 2 6; of the four equal outputs of the branch, 0 2 are
    # taken, which move to 1 5
    weights = subset_weights(wide, narrow, NO_OUTPUTS)
    rows, columns = sources(weights['layers.2.weight'], 2)
    assert rows == [1, 3, 5, 7] and columns == [[2, 1, 6, 5]] * 4
    narrow.load_state_dict(weights)
    images = torch.randn(1, 3, 2, 3)
    passed = nn.Sequential(*narrow.layers[:2])(images)[:, ::2]
    torch.testing.assert_close(passed, nn.Sequential(*wide.layers[:2])(images)[:, [2, 6]])


def test_first_half_that_reaches_into_the_second_one_is_kept_at_the_border():
    def work(layers: nn.ModuleList, images: Tensor) -> Tensor:
        left, right = layers[0](images).split([layers[1].in_channels, layers[2].in_channels], 1)
        return layers[1](left), layers[2](right)
    narrow = Net(work, nn.Conv2d(3, 4, 1), numbered(3, 1), numbered(1, 1))
    wide = Net(work, nn.Conv2d(3, 8, 1), numbered(4, 1), numbered(4, 1))
    weights = subset_weights(wide, narrow, NO_OUTPUTS)  # of 1 3 5 7, 5 is beyond 0 .. 3
    assert sources(weights['layers.1.weight'], 4 / 3)[1] == [[1, 3, 3]]
    assert sources(weights['layers.2.weight'], 4)[1] == [[3]]


def test_chunks_slices_sums_and_joined_maps_are_followed():
    def work(layers: nn.ModuleList, images: Tensor) -> Tensor:
        first = layers[0](torch.cat((images[..., ::2, ::2], images[:, :, 1::2, 1::2]), 1))
        left, right = first.chunk(2, dim=1)
        return layers[1](torch.cat([right, layers[2](0.5 * left + right)], dim=1))
    narrow = Net(work, numbered(6, 4), numbered(4, 2), numbered(2, 2, bias=False))
    wide = Net(work, numbered(6, 8), numbered(8, 4), numbered(4, 4, bias=False))
    weights = subset_weights(wide, narrow, NO_OUTPUTS)
    assert sources(weights['layers.0.weight'], 1) == ([1, 3, 5, 7], [list(range(6))] * 4)
    assert sources(weights['layers.2.weight'], 2) == ([1, 3], [[1, 3]] * 2)
    assert sources(weights['layers.1.weight'], 2) == ([1, 3], [[1, 3, 5, 7]] * 2)
    assert torch.equal(weights['layers.1.bias'], wide.layers[1].bias[[1, 3]])


def test_convolution_in_groups_takes_columns_of_its_own_group():
    narrow = Net(in_a_row, nn.Conv2d(3, 4, 1), numbered(4, 4, groups=2))
    wide = Net(in_a_row, nn.Conv2d(3, 8, 1), numbered(8, 8, groups=2))
    weights = subset_weights(wide, narrow, NO_OUTPUTS)
    assert weights['layers.1.weight'].shape == narrow.layers[1].weight.shape
    assert sources(weights['layers.1.weight'], 2) == ([1, 3, 5, 7], [[1, 3]] * 4)


def flipped(layers: nn.ModuleList, images: Tensor) -> Tensor:
    return layers[1](layers[0](images).flip(1))


@pytest.mark.parametrize(('wide', 'narrow', 'words'), [
    (Net(in_a_row, nn.Conv2d(3, 4, 1)), Net(in_a_row, nn.Conv2d(3, 5, 1)),
     'layers.0 has 4 channels; expected at least 5'),
    (Net(in_a_row, nn.Conv2d(3, 4, 3)), Net(in_a_row, nn.Conv2d(3, 2, 1)),
     r'layers.0 has kernel_size \(3, 3\); expected \(1, 1\)'),
    (Net(in_a_row, nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1, groups=4)),
     Net(in_a_row, nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1)),
     'layers.1 has 4 groups; expected 1'),
    (Net(in_a_row, nn.Conv2d(3, 4, 1), nn.ReLU()), Net(in_a_row, nn.Conv2d(3, 4, 1), nn.SiLU()),
     r'layers.1 is ReLU\(\); expected SiLU\(\)'),
    (Net(in_a_row, nn.Conv2d(3, 4, 1), nn.ReLU()), Net(in_a_row, nn.Conv2d(3, 4, 1)),
     'differ: layers.1 of layers_0; expected output of layers_0'),
    (Net(flipped, nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)),
     Net(flipped, nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1)),
     'layers.1: its input channels are unknown'),
    (Net(in_a_row, nn.ConvTranspose2d(3, 4, 1)), Net(in_a_row, nn.ConvTranspose2d(3, 4, 1)),
     'layers.0: cannot take channels out of a ConvTranspose2d'),
])
def test_networks_that_do_not_fit_say_where(wide, narrow, words):
    with pytest.raises(ModelError, match=words):
        subset_weights(wide, narrow, NO_OUTPUTS)


def test_transfer_to_fewer_channels_says_so_and_keeps_the_known_classes():
    checkpoint = trained_checkpoint(ModelSpec('nanodet_plus', 'm', 3))
    names = ('drone', 'object2')
    model, report = transfer_weights(checkpoint, ModelSpec('nanodet_plus', 'm-0.5x', 2), names)
    assert report == (('object2',), ('drone',), True, True)
    wide = checkpoint.model()
    for tower, conv, old in zip(wide.head.towers, model.head.outputs, wide.head.outputs,
                                strict=True):
        columns = strongest(64, tower[-2].weight.abs()).channels
        torch.testing.assert_close(conv.weight[1:], old.weight[2:, columns] * 1.5)
        assert torch.equal(conv.bias[1:], old.bias[2:])
    assert all(head.isfinite().all() for head in model(torch.rand(2, 3, 64, 96)))


@pytest.mark.parametrize(('family', 'old', 'new', 'words'), [
    ('nanodet', '0.5x', '1.0x', 'has 24 channels; expected at least 58'),
    ('yolov5_lite', 's', 'e', 'the structures differ: '),
    ('damo_yolo', 'nm', 'ns', 'cannot trace the channels'),
])
def test_transfer_that_cannot_be_names_both_and_where(family, old, new, words):
    checkpoint = trained_checkpoint(ModelSpec(family, old, 1))
    with pytest.raises(ModelError, match=f'a {family} {new} from the weights of a {family} {old}: '
                                         f'.*{words}') as caught:
        transfer_weights(checkpoint, ModelSpec(family, new, 1), ('object0',))
    assert '\n' not in str(caught.value)
