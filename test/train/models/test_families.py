# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Each family through the train command: losses fall, and the same seed is bit-identical."""

from pathlib import Path

from lite_detector.cli import main
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.build import build_model
from lite_detector.train.run.run_folder import BEST_FILE, LAST_FILE
from lite_detector.train.weights.checkpoint import load_checkpoint
import pytest
from shapes import train_arguments, write_shapes
import torch

NO_AUGMENTATION = {'flip': 0.0, 'scale': [1, 1], 'stretch': [1, 1], 'translate': 0.0,
                   'brightness': 0.0, 'contrast': [1, 1], 'saturation': [1, 1], 'mosaic': 0.0}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(('config', 'variant', 'epochs', 'rate'), [
    ('nanodet_m_320', '0.5x', 60, 0.002), ('nanodet_plus_m_320', 'm', 45, 0.002),
    # its batch norm has momentum 0.03: the statistics need some 200 steps to follow the weights
    ('yolov5_lite_e_320', 'e', 120, 0.004), ('yolof_05x_dc5_320', '0.5x-dc5', 90, 0.06),
    ('damo_yolo_ns_416', 'ns', 60, 0.004)])
def test_network_overfits_eight_images(config, variant, epochs, rate, tmp_path):
    labels = write_shapes(tmp_path / 'data', height=96, width=128)
    assert main(train_arguments(
        tmp_path / 'run', labels, '--no-export', config=config, network__variant=variant,
        augment=NO_AUGMENTATION, batch_size=4, phases=[{'epochs': epochs}],
        validation__every_epochs=15, save_every_minutes=10, ema={'decay': 0.9, 'ramp': 10},
        optimizer__learning_rate=rate)) == 0
    figures = load_checkpoint(tmp_path / 'run' / BEST_FILE).training['metrics']
    assert figures['AP50'] > 99, figures


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(('config', 'family', 'variant'), [
    ('nanodet_m_320', 'nanodet', '0.5x'), ('nanodet_plus_m_320', 'nanodet_plus', 'm'),
    ('yolov5_lite_e_320', 'yolov5_lite', 'e'), ('yolof_05x_dc5_320', 'yolof', '0.5x-dc5'),
    ('damo_yolo_ns_416', 'damo_yolo', 'ns')])
def test_same_seed_trains_to_the_same_bits(config, family, variant, tmp_path):
    labels = write_shapes(tmp_path / 'data', height=64, width=96)
    first, second = (trained(tmp_path / name, labels, config, variant)
                     for name in ('first', 'second'))
    assert all(value.equal(second[name]) for name, value in first.items())
    # a checkpoint holds what is trained, branches that an export folds included
    assert first.keys() == build_model(ModelSpec(family, variant, 2)).state_dict().keys()


def trained(folder: Path, labels: Path, config: str, variant: str) -> dict[str, torch.Tensor]:
    assert main(train_arguments(folder, labels, '--no-export', phases=[{'epochs': 1}],
                                config=config, network__variant=variant,
                                validation__every_epochs=1)) == 0
    return load_checkpoint(folder / LAST_FILE).state_dict
