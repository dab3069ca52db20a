# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A run from its configuration to its best checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, set_seed
from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import NetworkCard
from lite_detector.data.dataset import Sample
from lite_detector.data.image_check import unusable_paths
from lite_detector.data.repeat import RepeatedDataset
from lite_detector.train.config.training import TrainConfig
from lite_detector.train.data.datasets import cached, check_datasets, describe_datasets
from lite_detector.train.data.loader import EpochLoader
from lite_detector.train.data.sources import Datasets, open_datasets
from lite_detector.train.distill.teacher import load_teacher
from lite_detector.train.models.layers import count_macs, count_parameters
from lite_detector.train.run.console import Console, SILENT
from lite_detector.train.run.engine import Engine
from lite_detector.train.run.machine import explained, gpu_problem, gpu_warning
from lite_detector.train.run.optimizer import freeze
from lite_detector.train.run.prepare import prepare, PreparedNetwork
from lite_detector.train.run.run_folder import RunFolder, START_FILE
from lite_detector.train.run.throughput import measure_throughput, Throughput
import torch
from torch import Tensor

CACHE_ROOM = 1.5
"""Side of cached images relative to the input, because augmentation enlarges them."""
MEASURED_IMAGES = 256
"""Number of training images to measure statistics for fused batch norm."""


@explained()
def train(config: TrainConfig, folder: Path, resume: bool = False,
          console: Console = SILENT) -> Path:
    """
    Train with a configuration.

    Under ``torchrun`` every process calls this function; only the first one writes and prints.

    :param config: Configuration of the run.
    :param folder: Existing folder of the run.
    :param resume: Whether to continue the run in that folder.
    :param console: Output to the user.
    :return: Best checkpoint.
    :raises LiteDetectorError: with a one-line message.
    """
    accelerator = make_accelerator(config, console)
    if not accelerator.is_main_process:
        console = SILENT
    run_folder = RunFolder(folder, config)
    if resume:
        run_folder.load_state()  # raises errors before the long work
    elif accelerator.is_main_process:
        run_folder.start()
    engine = make_engine(config, run_folder, accelerator, console, resume)
    best = engine.run(resume)
    # Threads of a process group that lives until the interpreter ends can abort the process.
    accelerator.end_training()
    return best


@explained()
def profile(config: TrainConfig, seconds: float, console: Console = SILENT) -> Throughput:
    """
    Measure the training speed of this machine.

    :param config: Configuration of the run.
    :param seconds: Duration of the measurement in seconds, without the preparation.
    :param console: Output to the user.
    :raises LiteDetectorError: with a one-line message.
    """
    engine = make_engine(config, RunFolder(Path(), config), make_accelerator(config, console),
                         console)
    return measure_throughput(engine, seconds)


def make_accelerator(config: TrainConfig, console: Console = SILENT) -> Accelerator:
    """Return the devices and processes of this run, with their seeds set."""
    precision = 'no' if config.precision == 'fp32' else config.precision
    problem = gpu_problem()
    if problem:
        console.say(gpu_warning(problem))
    has_gpu = torch.cuda.is_available() and not problem
    if config.precision == 'fp16' and not has_gpu:
        raise ConfigError('precision: fp16 without a GPU; expected fp32 or bf16')
    set_seed(config.seed)
    # Gradients of correct scores are denormal floats, which a CPU multiplies some hundred times
    # slower. Threads that start later inherit this setting.
    torch.set_flush_denormal(True)
    return Accelerator(cpu=not has_gpu, mixed_precision=precision)


def make_engine(config: TrainConfig, folder: RunFolder, accelerator: Accelerator,
                console: Console, resume: bool = False) -> Engine:
    """
    Open and check the data, and build the network.

    :param config: Configuration of the run.
    :param folder: Folder of the run.
    :param accelerator: Devices and processes.
    :param console: Output to the user.
    :param resume: Whether the network is that of the run in the folder.
    :raises LiteDetectorError: with a one-line message.
    """
    # raises errors before the long work
    teacher = (None if config.distill is None
               else load_teacher(config.distill, config.network.preprocess))
    datasets = _look_through(open_datasets(config.data), folder, accelerator, console, resume)
    console.say(_data_line(datasets))
    samples = cached(datasets.train, _cache_side(config), config.data, console.progress)
    drawn = RepeatedDataset(samples, datasets.entries)
    if resume:
        network = _started_before(config, folder)
    else:
        card = config.card(datasets.train.class_names)
        network = prepare(config, samples, lambda: _some_batches(config, card, drawn), console.say)
    size = network.card.size
    console.say(f'{network.card.name}: {network.spec.label}, '
                f'{count_parameters(network.model) / 1e6:.2f} M parameters, '
                f'{count_macs(network.model, size) / 1e9:.2f} G multiply-accumulates at {size}, '
                f'on {accelerator.device}'
                + (f' x {accelerator.num_processes}' if accelerator.num_processes > 1 else ''))
    return Engine(config, network, drawn, datasets.select, folder, accelerator, console,
                  teacher)


def _look_through(datasets: Datasets, folder: RunFolder, accelerator: Accelerator,
                  console: Console, resume: bool) -> Datasets:
    """Print findings in the data, save them in the folder, and leave out unusable images."""
    warnings: list[str] = []
    if resume:  # the same images as at the start
        left_out = folder.left_out_images()
    else:
        if accelerator.is_main_process:
            warnings = check_datasets(datasets, console.progress)
            if datasets.select is None:
                warnings.append('without data.val or data.select the best weights are unknown; '
                                'the last ones are saved')
        left_out = broadcast_object_list([sorted({
            path for each in datasets.splits().values()
            for path in unusable_paths(each.findings)})])[0]
    for each in datasets.splits().values():
        warnings = [*(f'{each.source.name}: {line}' for line in each.findings.warnings()),
                    *warnings]
    for line in warnings:
        console.say(f'warning: {line}')
    datasets = datasets.without(set(left_out))
    if not resume and accelerator.is_main_process:
        folder.save_data(describe_datasets(datasets), warnings, left_out)
    return datasets


def _started_before(config: TrainConfig, folder: RunFolder) -> PreparedNetwork:
    """Return the initial network of the run in a folder."""
    start = folder.load_weights(START_FILE)
    model = start.model()
    freeze(model, config.start.freeze)
    # torch's own types lack memory_format
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return PreparedNetwork(start.spec, start.card, model,
                           bool(start.training.get('is_fine_tuned', config.start.checkpoint)))


def _cache_side(config: TrainConfig) -> int:
    sizes = [config.network.input_size, *(phase.input_size for phase in config.phases)]
    side = max(max(size.height, size.width) for size in filter(None, sizes))
    return int(CACHE_ROOM * config.zoom * side)


def _some_batches(config: TrainConfig, card: NetworkCard, samples: Sequence[Sample]
                  ) -> Iterator[Tensor]:
    loader = EpochLoader(samples, card.preprocess, card.size, card.padded_to, config.augment,
                         config.batch_size, config.seed, epoch=0)
    seen = 0
    for batch in loader:
        if seen >= MEASURED_IMAGES:
            break
        seen += len(batch.images)
        yield batch.images


def _data_line(datasets: Datasets) -> str:
    names = datasets.train.class_names
    classes = ', '.join(names[:6]) + (f' and {len(names) - 6} more' if len(names) > 6 else '')
    images = f'{len(datasets.train)} images to train on'
    if len(datasets.entries) > len(datasets.train):
        images += f' ({len(datasets.entries)} samples per epoch)'
    if datasets.select is not None:
        images += f', {len(datasets.select)} to measure AP on'
    if datasets.report is not None:
        images += f', {len(datasets.report)} to report AP on at the end'
    return f'{images}; {len(names)} classes: {classes}'
