# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The training configuration, read from a YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from lite_detector.core.config import from_mapping, load_changed, Spec
from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import (
    checked_size,
    DecodeSpec,
    Family,
    Name,
    NetworkCard,
    PreprocessSpec,
    SizeSpec,
)
from lite_detector.core.structure import StructureSpec
from lite_detector.core.types import ImageSize
from lite_detector.data.findings import Crowds, Reading
from lite_detector.train.config.augment import AugmentSpec
from lite_detector.train.config.distill import DistillSpec
from lite_detector.train.config.loss import LossSpec
from lite_detector.train.config.model import ModelSpec, spec_of
import msgspec
from msgspec import Meta
import yaml

Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=10_000_000)]
AtLeastOne = Annotated[int, Meta(ge=1, le=10_000_000)]


class NetworkSpec(Spec, kw_only=True):
    """The network to train and its model card; the class names come from the data."""

    name: Name
    """Name of the model, for its card and folder."""
    family: Family
    """Family of the network."""
    variant: str
    """One of ``lite_detector.train.config.model.VARIANTS[family]``."""
    backbone: str | StructureSpec | None = None
    """Name of another backbone, such as mobilenet_v2_1.0x (docs/reference/networks.md), or its
    stages, as ``search`` writes them (docs/guides/search.md); by default that of the family."""
    description: str = ''
    """Description of the model for its card."""
    license: str = 'not stated'  # noqa: A003
    """Licence of the model for its card."""
    source: str = ''
    """Origin of the model for its card."""
    input_size: SizeSpec
    preprocess: PreprocessSpec
    decode: DecodeSpec


Paths = Annotated[tuple[str, ...], Meta(min_length=1)]


class DataSpec(Spec):
    """Labelled images; paths are relative to the current directory."""

    train: str | Paths | None = None
    """COCO json, folder of Pascal VOC xml files, data.yaml or folder of YOLO txt files; or a list
    of these, whose classes are matched by name."""
    train_images: str | Paths | None = None
    """Folder of the images, or one folder per entry of ``train``; by default ``images`` next to
    the annotations."""
    val: str | None = None
    """Report set: annotations for one AP measurement of the finished weights. Without ``select``
    they are the selection set."""
    val_images: str | None = None
    """Folder of the images of ``val``."""
    repeat: tuple[Annotated[int, Meta(ge=1, le=1000)], ...] = ()
    """Number of times that the images of each entry of ``train`` occur in an epoch; by default
    once."""
    select: str | None = None
    """Selection set: annotations whose AP chooses the epoch and the weight average. By default
    ``val``, whose AP is then not an independent measurement."""
    select_images: str | None = None
    """Folder of the images of ``select``."""
    select_min_score: Fraction = 0.0
    """Minimum score of a box of ``select``; a box with less is an ignore region when AP is
    measured."""
    class_names: tuple[str, ...] | None = None
    """Class names in the order of their ids; by default those of the annotations."""
    min_score: Fraction = 0.0
    """Minimum score of a pseudo label; a box with less is an ignore region. At 0 every box counts
    with its score as soft label weight."""
    strict: bool = False
    """Whether the first malformed box, image or label file is an error."""
    max_broken: Fraction = 0.1
    """Largest share of malformed boxes, and of malformed images, that is skipped and counted."""
    crowds: Crowds = 'ignore'
    """Meaning of COCO boxes with ``iscrowd``: ignore regions or objects."""
    cache_megabytes: Annotated[int, Meta(ge=0)] = 2000
    """Memory of each process for decoded images, in megabytes."""
    workers: Annotated[int, Meta(ge=0, le=256)] | None = None
    """Processes per GPU that prepare images; by default one per free core."""

    @property
    def reading(self) -> Reading:
        """Limits on malformed labels, and the meaning of crowds."""
        return Reading(self.strict, self.max_broken, self.crowds)


class StartSpec(Spec):
    """Initial weights; by default they are random."""

    checkpoint: str | None = None
    """Checkpoint to fine-tune; classes are matched by name."""
    backbone: str | None = None
    """ImageNet weights of the backbone: a state dict of torchvision."""
    freeze: tuple[str, ...] = ()
    """Names of modules that are not trained, for example backbone."""
    freeze_batch_norm: bool = False
    """Whether the batch norm statistics stay fixed, for batches too small to measure them."""
    auto_anchor: bool = True
    """Whether k-means replaces anchors that fit too few boxes (yolov5_lite)."""


class OptimizerSpec(Spec):
    """The optimizer. Biases and batch norm have no weight decay."""

    kind: Literal['adamw', 'sgd'] = 'adamw'
    """Kind of optimizer."""
    learning_rate: Annotated[float, Meta(gt=0, le=10)] = 1e-3
    """Learning rate after the warm-up."""
    weight_decay: Annotated[float, Meta(ge=0, le=1)] = 0.05
    """Weight decay of all weights except biases and batch norm."""
    momentum: Fraction = 0.9
    """Momentum of sgd."""
    nesterov: bool = True
    """Whether sgd uses Nesterov momentum."""
    backbone_factor: Annotated[float, Meta(ge=0, le=10)] = 1.0
    """Factor on the learning rate of the backbone."""
    clip_norm: Annotated[float, Meta(gt=0)] | None = 35.0
    """Largest norm of the gradient of all weights together; null does not clip."""


class ScheduleSpec(Spec):
    """The factor on the learning rate during the run."""

    kind: Literal['cosine', 'step', 'constant'] = 'cosine'
    """Kind of schedule after the warm-up."""
    warmup_iterations: Count = 100
    """Length of the warm-up in iterations; at most a tenth of the run."""
    warmup_share: Fraction | None = None
    """Length of the warm-up as a share of the run; replaces ``warmup_iterations``."""
    warmup_factor: Fraction = 0.1
    """Factor on the learning rate at the start of the warm-up."""
    warmup_power: Annotated[float, Meta(ge=1, le=10)] = 1.0
    """Exponent of the warm-up: 1 is linear, 2 quadratic."""
    final_factor: Fraction = 0.05
    """Factor at the end of the cosine."""
    final_share: Fraction = 0.0
    """Share of the run after the cosine, at ``final_factor``."""
    milestones: tuple[Fraction, ...] = (0.85, 0.95)
    """Shares of the run after which ``step`` lowers the learning rate."""
    gamma: Fraction = 0.1
    """Factor on the learning rate at each milestone."""


class EmaSpec(Spec):
    """Exponential moving average of the weights, which is validated, saved and exported."""

    decay: Fraction = 0.999
    """Decay per step; the average covers about 1 / (1 - decay) steps."""
    ramp: AtLeastOne = 500
    """Iterations over which the decay grows, as 1 - exp(-iteration / ramp)."""


class PhaseSpec(Spec):
    """A part of the run with one input size and one augmentation."""

    epochs: Annotated[int, Meta(ge=1, le=100_000)]
    """Number of epochs of the phase."""
    input_size: SizeSpec | None = None
    """Input size of training; by default that of the network, which validation always uses."""
    batch_size: AtLeastOne | None = None
    """Images per step; by default ``batch_size`` of the run."""
    learning_rate_factor: Annotated[float, Meta(ge=0, le=100)] = 1.0
    """Factor on the learning rate in the phase."""
    augment: AugmentSpec | None = None
    """Augmentation of the phase; by default that of the run."""


class ValidationSpec(Spec):
    """Validation on the selection set, early stopping and weight averaging."""

    every_epochs: AtLeastOne = 5
    """Interval of validation in epochs; each validation also updates the plots."""
    patience: Count = 0
    """Number of validations without a better AP before training stops early; 0 never stops."""
    wise_factors: tuple[Fraction, ...] = (0.3, 0.5, 0.7, 0.85)
    """Factors of weight averages to test after fine-tuning: start + factor * (end - start). They
    are tested from the largest down while AP rises (Wortsman et al., 2022, arXiv:2109.01903)."""


class TrainConfig(Spec, kw_only=True):
    """A training run."""

    network: NetworkSpec
    recipe: str | None = None
    """Name of the configuration file; set when it is read, and written to the model card."""
    data: DataSpec = DataSpec()
    start: StartSpec = StartSpec()
    loss: LossSpec = LossSpec()
    distill: DistillSpec | None = None
    """Distillation: a larger network as a second source of training targets."""
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    ema: EmaSpec | None = EmaSpec()
    augment: AugmentSpec = AugmentSpec()
    phases: Annotated[tuple[PhaseSpec, ...], Meta(min_length=1)]
    batch_size: AtLeastOne = 16
    """Images per step, in all processes together."""
    precision: Literal['fp32', 'fp16', 'bf16'] = 'fp32'
    """Number format of convolutions in training. bf16 is faster on a GPU and on a CPU with bf16
    instructions (avx512_bf16 or amx_bf16 in /proc/cpuinfo); fp16 needs a GPU."""
    seed: Annotated[int, Meta(ge=0, lt=2 ** 32)] = 0
    """Seed of all random numbers of the run."""
    validation: ValidationSpec = ValidationSpec()
    save_every_minutes: Annotated[float, Meta(gt=0)] = 1.0
    """Interval of saving in minutes; the run is also saved after each validation."""

    def __post_init__(self) -> None:
        if self.network.decode.score_activation != 'sigmoid':  # as in cards of other files
            raise ValueError("network.decode.score_activation: 'none'; expected 'sigmoid', "
                             'because trained networks output logits')
        if self.start.checkpoint is not None and self.start.backbone is not None:
            raise ValueError('start: both checkpoint and backbone; expected at most one of them')
        # These raise errors of the network before any data are read.
        card = self.card(('class',))
        self.model_spec(1)
        for phase in self.phases:
            if phase.input_size is not None:
                checked_size(ImageSize(phase.input_size.height, phase.input_size.width), card)

    def card(self, class_names: Sequence[str]) -> NetworkCard:
        """Return the model card of the network for these class names."""
        shared = {name: getattr(self.network, name) for name in NetworkCard.__struct_fields__
                  if name != 'class_names'}
        return NetworkCard(class_names=tuple(class_names), **shared)

    def model_spec(self, num_classes: int) -> ModelSpec:
        """Return the structure of the network for this number of classes."""
        network = self.network
        return spec_of(network.family, network.variant, num_classes, network.decode,
                       network.backbone)

    @property
    def zoom(self) -> int:
        """Return the factor on height and width of the training images, for distillation."""
        return 1 if self.distill is None else self.distill.zoom

    @property
    def epochs(self) -> int:
        """Return the number of epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)


def load_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """
    Read a configuration and apply the changes of the command line.

    :param path: YAML file.
    :param changes: Assignments such as ``optimizer.learning_rate=0.002`` or
        ``phases.0.epochs=30``; the value is YAML.
    :raises ConfigError: with the path of the wrong key.
    """
    data = {'recipe': path.stem, **load_changed(path, changes)}
    return config_from(data, str(path))


def config_from(data: dict[str, Any], where: str) -> TrainConfig:
    """
    Build a configuration from plain data.

    :param where: File name for the error message.
    :raises ConfigError: with the path of the wrong key.
    """
    data = dict(data)
    if data.pop('quantize', None) is not None:  # earlier versions wrote `quantize: null`
        raise ConfigError(f'{where}: $.quantize: int8 fine-tuning was removed; delete this key '
                          'and run `quantize` on the trained model')
    return from_mapping(data, TrainConfig, where)


def dump_config(config: TrainConfig) -> str:
    """Return a configuration as YAML that ``load_config`` reads."""
    return yaml.safe_dump(msgspec.to_builtins(config), sort_keys=False, default_flow_style=None,
                          width=99)


def first_difference(first: Any, second: Any, path: str = '$') -> str | None:
    """
    Return the first difference of two configurations.

    :param first: Plain data, as ``msgspec.to_builtins`` returns it.
    :return: ``$.path.to.key: first value, second value``; None if they are equal.
    """
    if isinstance(first, dict) and isinstance(second, dict):
        pairs = [(f'{path}.{key}', first.get(key), second.get(key)) for key in {**first, **second}]
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        pairs = [(f'{path}[{index}]', *both)
                 for index, both in enumerate(zip(first, second, strict=True))]
    else:
        return None if first == second else f'{path}: {first}, {second}'
    found = (first_difference(left, right, where) for where, left, right in pairs)
    return next(filter(None, found), None)
