# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Heat maps of networks whose features are known."""

import cv2
from lite_detector import load_model
from lite_detector.cli import main
from lite_detector.core.errors import ModelError
from lite_detector.core.geometry import Letterbox
from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.types import ImageSize
from lite_detector.data.pictures import CAPTION, CELL, COLUMNS
from lite_detector.detector import Detector
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.heatmap import eigen_cam, heat_map, overlay_heat, write_heat_maps
from lite_detector.train.torch_backend import TorchBackend
from lite_detector.train.weights.checkpoint import Checkpoint, save_checkpoint
from networks import network_card, trained_model
import numpy as np
import pytest
from tiny_datasets import write_coco
from tiny_models import square_image
import torch
from torch import nn
from torch.nn import functional

SPEC = ModelSpec('nanodet', '0.5x', 2)
STRIDES = (8, 16, 32)
MEAN_COLORS = PreprocessSpec(resize='letterbox_square', color='bgr', mean=(0, 0, 0),
                             std=(255, 255, 255))


class Pyramid(nn.Module):
    """A module whose features are the mean colour of each cell."""

    def forward(self, images):
        """Return one map per stride."""
        return [functional.avg_pool2d(images, stride) for stride in STRIDES]


class MeanColors(nn.Module):
    """A network whose features are mean colours, without detections."""

    def __init__(self, part: str = 'neck') -> None:
        super().__init__()
        self.add_module(part, Pyramid())
        self.outputs = nn.ModuleList(nn.Conv2d(3, 34, 1) for _ in STRIDES)
        for conv in self.outputs:
            nn.init.zeros_(conv.weight)
            nn.init.constant_(conv.bias, -20)

    def forward(self, images):
        """Return raw heads."""
        levels = next(self.children())(images)
        return [output(level) for output, level in zip(self.outputs, levels, strict=True)]


def detector_of(model: nn.Module) -> Detector:
    return Detector(network_card(SPEC), TorchBackend(model), input_size=ImageSize(128, 192))


@pytest.fixture
def detector():
    return detector_of(MeanColors())


def fit(height: int, width: int) -> Letterbox:
    """Return an image of this size in an input of 64 x 64."""
    return Letterbox.fit(ImageSize(height, width), ImageSize(64, 64), MEAN_COLORS, 32)


def test_heat_where_no_place_differs_is_0():
    heat = eigen_cam([torch.ones(1, 5, 8, 8), torch.zeros(1, 5, 1, 1)], fit(64, 64))
    assert heat.shape == (64, 64)
    assert (heat == 0).all()


def test_heat_is_that_of_the_image_in_the_input_whatever_the_padding_holds():
    level = torch.zeros(1, 3, 8, 8)
    level[..., 3, 5] = 1
    quiet = eigen_cam([level], fit(30, 60))  # 32 rows of 64
    level[..., :2, :] = 100
    level[..., 6:, :] = -100
    assert quiet.shape == (32, 64)
    assert np.unravel_index(quiet.argmax(), quiet.shape)[1] // 8 == 5
    # what the padding holds reaches the border rows by interpolation, and no further
    np.testing.assert_allclose(eigen_cam([level], fit(30, 60))[8:24], quiet[8:24], atol=1e-5)


@pytest.mark.parametrize('invert', [False, True], ids=['bright', 'dark'])
@pytest.mark.parametrize(('top', 'left'), [(40, 60), (300, 480), (440, 0)])
def test_heat_is_strongest_at_the_only_object(detector, top, left, invert):
    image = square_image(480, 640, top, left, (200, 255, 180), side=100)
    heat, detections = heat_map(detector, 255 - image if invert else image)
    assert (heat.shape, heat.dtype, len(detections)) == ((480, 640), np.float32, 0)
    assert (heat.min(), heat.max()) == (pytest.approx(0, abs=0.05), pytest.approx(1, abs=0.05))
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert top <= row < top + 100
    assert left <= column < left + 100
    inside = heat[top:top + 100, left:left + 100]
    assert inside.mean() > 3 * heat.mean()


def test_heat_reads_the_pan_of_a_real_network_and_leaves_no_hook():
    model = trained_model(SPEC)
    images = np.random.default_rng(0).integers(0, 256, (2, 200, 300, 3), np.uint8)
    maps = [heat_map(detector_of(model), image)[0] for image in images]
    assert all(each.shape == (200, 300) and 0 <= each.min() <= each.max() <= 1 for each in maps)
    assert np.abs(maps[0] - maps[1]).max() > 0.1
    assert not model.pan._forward_hooks


def test_heat_of_a_network_of_unknown_parts_is_refused():
    with pytest.raises(ModelError, match='one of the parts neck, pan'):
        heat_map(detector_of(MeanColors('middle')), square_image(64, 96, 0, 0))


def test_heat_of_a_model_folder_is_refused(tiny_nanodet):
    with pytest.raises(ModelError, match=r'tiny_nanodet: heat maps need a checkpoint \(.pt\)'):
        heat_map(load_model(str(tiny_nanodet)), square_image(64, 96, 0, 0))


def test_overlay_is_blue_where_it_is_cold_and_red_where_it_is_hot():
    picture = overlay_heat(np.zeros((1, 3, 3), np.uint8), np.array([[0.1, 0.5, 1]], np.float32))
    assert picture.argmax(axis=2).tolist() == [[0, 1, 2]]


def test_sheet_of_no_image_is_one_grey_row(detector, tmp_path):
    write_heat_maps(tmp_path / 'x.jpg', detector, [], [], 0.5)
    sheet = cv2.imread(str(tmp_path / 'x.jpg'))
    assert (sheet.shape, np.ptp(sheet)) == ((CELL, COLUMNS * CELL, 3), 0)


def test_sheet_has_the_worst_on_the_left_and_the_best_on_the_right(detector, tmp_path):
    paths = []
    for index in range(3):
        paths.append(tmp_path / f'{index}.png')
        cv2.imwrite(str(paths[-1]), square_image(48, 64, 8 * index, 0, (255, 255, 255)))
    write_heat_maps(tmp_path / 'x.jpg', detector, paths[:2], paths[2:], 0.5)
    sheet = cv2.imread(str(tmp_path / 'x.jpg'))
    assert sheet.shape == (2 * CELL, COLUMNS * CELL, 3)
    cells = [sheet[row * CELL + CAPTION:][:300, column * CELL:][:, :400]
             for row in range(2) for column in range(COLUMNS)]
    assert [np.ptp(cell) > 9 for cell in cells] == [True] * 6 + [False] * 2
    # image beside heat: only heat has colours
    assert [np.ptp(cell, axis=2).max() > 9 for cell in cells[:6]] == [False, True] * 3


def test_evaluate_draws_heat_maps_of_a_checkpoint(tmp_path, capsys):
    pytest.importorskip('faster_coco_eval')
    pytest.importorskip('matplotlib')
    annotations, images = write_coco(tmp_path)
    text = annotations.read_text().replace('zebra', 'object0').replace('ant', 'object1')
    annotations.write_text(text)
    save_checkpoint(tmp_path / 'x.pt', Checkpoint(SPEC, network_card(SPEC),
                                                  trained_model(SPEC).state_dict()))
    assert main(['evaluate', '--model', str(tmp_path / 'x.pt'), '--annotations', str(annotations),
                 '--images', str(images), '--plots', str(tmp_path / 'plots')]) == 0
    sheet = cv2.imread(str(tmp_path / 'plots' / 'heatmaps.jpg'))
    assert sheet.shape[1:] == (COLUMNS * CELL, 3)
    assert sheet.std() > 1
    assert capsys.readouterr().out.splitlines()[-1] == f'wrote plots to {tmp_path / "plots"}'
