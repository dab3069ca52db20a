# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Everything that decides a training run, as one YAML file says it."""

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
from lite_detector.train.config.model import ModelSpec, PUBLISHED_BATCH_NORM
import msgspec
from msgspec import Meta
import yaml

Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=10_000_000)]
AtLeastOne = Annotated[int, Meta(ge=1, le=10_000_000)]


class NetworkSpec(Spec, kw_only=True):
    """What is trained, and all of its model card but the classes, which the data bring."""

    name: Name
    family: Family
    variant: str
    """One of ``lite_detector.train.config.model.VARIANTS[family]``."""
    backbone: str | StructureSpec | None = None
    """Another one than the family's own: a name such as mobilenet_v2_1.0x
    (docs/reference/networks.md), or its stages written out, as ``search``
    does (docs/guides/search.md)."""
    description: str = ''
    license: str = 'not stated'  # noqa: A003
    source: str = ''
    input_size: SizeSpec
    preprocess: PreprocessSpec
    decode: DecodeSpec


Paths = Annotated[tuple[str, ...], Meta(min_length=1)]


class DataSpec(Spec):
    """Labelled images of any format; paths are relative to where the command is run."""

    train: str | Paths | None = None
    """COCO json, folder of Pascal VOC xml files, or data.yaml or folder of YOLO txt files; or a
    list of these, whose classes are matched by name."""
    train_images: str | Paths | None = None
    """Folder of the images, or one for each of a list; by default ``images`` beside the
    annotations."""
    val: str | None = None
    """Report set: with ``select``, AP on these annotations is measured once, with the finished
    weights. Without it they are the selection set."""
    val_images: str | None = None
    """Folder of the images of ``val``."""
    repeat: tuple[Annotated[int, Meta(ge=1, le=1000)], ...] = ()
    """How often the images of each entry of ``train`` occur in an epoch; by default once."""
    select: str | None = None
    """Selection set: the annotations on which AP chooses the epoch and the mixture of weights. By
    default ``val``, which then is no independent measurement any more."""
    select_images: str | None = None
    """Folder of the images of ``select``."""
    select_min_score: Fraction = 0.0
    """Boxes of ``select`` with a lower score are ignored when AP is measured: what is detected
    there is neither right nor wrong."""
    class_names: tuple[str, ...] | None = None
    """Fixes the class ids; by default the annotations do."""
    min_score: Fraction = 0.0
    """Boxes that a model gave with less are ignored: neither objects nor background. 0: all
    weigh as much as their score."""
    strict: bool = False
    """The first broken box, image or label file is an error."""
    max_broken: Fraction = 0.1
    """Largest share of broken boxes, and of broken images, that is skipped and counted."""
    crowds: Crowds = 'ignore'
    """What COCO boxes with ``iscrowd`` are: regions to ignore, or objects."""
    cache_megabytes: Annotated[int, Meta(ge=0)] = 2000
    """Memory of each process for decoded images."""
    workers: Annotated[int, Meta(ge=0, le=256)] | None = None
    """Processes per GPU that prepare images; by default as many as there are cores to spare."""

    @property
    def reading(self) -> Reading:
        """How much may be broken, and what crowds are."""
        return Reading(self.strict, self.max_broken, self.crowds)


class StartSpec(Spec):
    """Where the weights come from; by default they are random."""

    checkpoint: str | None = None
    """Fine-tune these weights; classes are matched by name."""
    backbone: str | None = None
    """ImageNet weights for the backbone: a state dict of torchvision."""
    freeze: tuple[str, ...] = ()
    """Modules that are not trained, for example backbone."""
    freeze_batch_norm: bool = False
    """Keep the statistics of batch norm: for batches too small to measure any."""
    auto_anchor: bool = True
    """yolov5_lite: seek anchors by k-means where those of the network fit too few boxes."""


class OptimizerSpec(Spec):
    """How a gradient moves the weights. Biases and batch norm are never decayed."""

    kind: Literal['adamw', 'sgd'] = 'adamw'
    learning_rate: Annotated[float, Meta(gt=0, le=10)] = 1e-3
    weight_decay: Annotated[float, Meta(ge=0, le=1)] = 0.05
    momentum: Fraction = 0.9
    """sgd only."""
    nesterov: bool = True
    """sgd only: Nesterov's momentum."""
    backbone_factor: Annotated[float, Meta(ge=0, le=10)] = 1.0
    """Learning rate of the backbone, as a multiple."""
    clip_norm: Annotated[float, Meta(gt=0)] | None = 35.0
    """Largest norm of the gradient of all weights together."""


class ScheduleSpec(Spec):
    """The learning rate over the run, as a factor."""

    kind: Literal['cosine', 'step', 'constant'] = 'cosine'
    warmup_iterations: Count = 100
    """Rise from ``warmup_factor``; at most a tenth of the run."""
    warmup_share: Fraction | None = None
    """Length of the warm-up as a part of the run, in place of ``warmup_iterations``."""
    warmup_factor: Fraction = 0.1
    warmup_power: Annotated[float, Meta(ge=1, le=10)] = 1.0
    """Shape of the warm-up: 1 is linear, 2 quadratic."""
    final_factor: Fraction = 0.05
    """cosine: where it ends."""
    final_share: Fraction = 0.0
    """cosine: last part of the run, with the rate at ``final_factor``."""
    milestones: tuple[Fraction, ...] = (0.85, 0.95)
    """step: parts of the run after which the rate falls."""
    gamma: Fraction = 0.1
    """step: to this part of what it was."""


class EmaSpec(Spec):
    """Exponential moving average of the weights: what is measured, kept and exported."""

    decay: Fraction = 0.999
    ramp: AtLeastOne = 500
    """Iterations over which the decay grows, as 1 - exp(-iteration / ramp)."""


class PhaseSpec(Spec):
    """A stretch of the run with one input size and one way to augment."""

    epochs: Annotated[int, Meta(ge=1, le=100_000)]
    input_size: SizeSpec | None = None
    """Of training; by default the network's. What is measured is always the network's."""
    batch_size: AtLeastOne | None = None
    """By default that of the run."""
    learning_rate_factor: Annotated[float, Meta(ge=0, le=100)] = 1.0
    augment: AugmentSpec | None = None
    """By default that of the run."""


class ValidationSpec(Spec):
    """When AP is measured on the selection set, and what follows from it."""

    every_epochs: AtLeastOne = 5
    """So often AP is measured, and the curves are drawn."""
    patience: Count = 0
    """Stop after so many measurements without a better AP; 0 never stops early."""
    wise_factors: tuple[Fraction, ...] = (0.3, 0.5, 0.7, 0.85)
    """After fine-tuning: try start + factor * (end - start) from the largest factor on, as long
    as AP on the selection set rises (Wortsman et al., 2022, arXiv:2109.01903)."""


class TrainConfig(Spec, kw_only=True):
    """A training run."""

    network: NetworkSpec
    recipe: str | None = None
    """Name of the file that this was read from first; filled in, and told by the card."""
    data: DataSpec = DataSpec()
    start: StartSpec = StartSpec()
    loss: LossSpec = LossSpec()
    distill: DistillSpec | None = None
    """Learn from a larger network too."""
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    ema: EmaSpec | None = EmaSpec()
    augment: AugmentSpec = AugmentSpec()
    phases: Annotated[tuple[PhaseSpec, ...], Meta(min_length=1)]
    batch_size: AtLeastOne = 16
    """Images per step, in all processes together."""
    precision: Literal['fp32', 'fp16', 'bf16'] = 'fp32'
    """Of the forward pass on a GPU; on a CPU fp32 is as fast."""
    seed: Annotated[int, Meta(ge=0, lt=2 ** 32)] = 0
    validation: ValidationSpec = ValidationSpec()
    save_every_minutes: Annotated[float, Meta(gt=0)] = 1.0
    """A run that is cut loses at most this; whenever AP is measured it is saved too."""

    def __post_init__(self) -> None:
        if self.network.decode.score_activation != 'sigmoid':  # as in cards of other files
            raise ValueError("network.decode.score_activation: got 'none', wanted 'sigmoid': what "
                             'is trained here gives logits')
        if self.start.checkpoint is not None and self.start.backbone is not None:
            raise ValueError('start: got a checkpoint and a backbone, wanted one of them')
        # all raise what is wrong with the network before any data are there
        card = self.card(('class',))
        self.model_spec(1)
        for phase in self.phases:
            if phase.input_size is not None:
                checked_size(ImageSize(phase.input_size.height, phase.input_size.width), card)

    def card(self, class_names: Sequence[str]) -> NetworkCard:
        """Return the card of the network for these classes."""
        shared = {name: getattr(self.network, name) for name in NetworkCard.__struct_fields__
                  if name != 'class_names'}
        return NetworkCard(class_names=tuple(class_names), **shared)

    def model_spec(self, num_classes: int) -> ModelSpec:
        """Return the shape of the network for this many classes."""
        decode = self.network.decode
        shape = {}
        if decode.reg_max is not None:
            shape['reg_max'] = decode.reg_max
        if decode.anchors is not None:
            shape['num_anchors'] = len(decode.anchors[0])
        return ModelSpec(self.network.family, self.network.variant, num_classes,
                         backbone=self.network.backbone, **shape,
                         batch_norm=PUBLISHED_BATCH_NORM.get(self.network.family))

    @property
    def zoom(self) -> int:
        """How many times as high and wide as for the student the images are made."""
        return 1 if self.distill is None else self.distill.zoom

    @property
    def epochs(self) -> int:
        """How many epochs all phases have together."""
        return sum(phase.epochs for phase in self.phases)


def load_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """
    Read a configuration and change it as the command line says.

    :param path: YAML file.
    :param changes: such as ``optimizer.learning_rate=0.002`` or ``phases.0.epochs=30``; the
        value is YAML.
    :raises ConfigError: with the path of the key that is wrong.
    """
    data = {'recipe': path.stem, **load_changed(path, changes)}
    return config_from(data, str(path))


def config_from(data: dict[str, Any], where: str) -> TrainConfig:
    """
    Return the configuration that plain data hold.

    :param where: file name for the message.
    :raises ConfigError: with the path of the key that is wrong.
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
    Say where two configurations differ.

    :param first: plain data, as ``msgspec.to_builtins`` gives it.
    :return: ``$.path.to.key: this, that``; None if they are equal.
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
