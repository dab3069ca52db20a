# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Learning from a teacher: values by hand, and all kinds of pairs."""

from dataclasses import replace
from functools import partial
import math

from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError
from lite_detector.core.geometry import Letterbox
from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.preprocess import make_blob
from lite_detector.core.types import ImageSize
from lite_detector.train.config.distill import DistillSpec, FeatureSpec, HeadSpec
from lite_detector.train.config.loss import LossSpec
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.config.training import OptimizerSpec
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.distill.distillation import Distillation
from lite_detector.train.distill.features import channel_wise_kl, MaskedGeneration, normalized
from lite_detector.train.distill.heads import distribution_kl, HeadImitation
from lite_detector.train.distill.teacher import Teacher
from lite_detector.train.losses.objectives.build import build_objective
from lite_detector.train.losses.objectives.objective import identity, Objective
from lite_detector.train.models.build import build_model
from lite_detector.train.run.optimizer import build_optimizer, set_training
from lite_detector.train.weights.checkpoint import Checkpoint
import msgspec
from networks import network_card, trained_checkpoint
import numpy as np
import pytest
from tiny_models import ANCHORS
import torch
from torch import nn

KINDS = ('cwd', 'mgd', 'mimic')
SIZE = ImageSize(height=64, width=96)
RGB = PreprocessSpec(resize='letterbox_square', color='rgb', mean=(0.0, 0.0, 0.0),
                     std=(255.0, 255.0, 255.0), pad_value=114)
BGR = PreprocessSpec(resize='letterbox_rect', color='bgr', mean=(103.53, 116.28, 123.675),
                     std=(57.375, 57.12, 58.395))


def model_spec(family: str = 'nanodet', variant: str = '0.5x', classes: int = 2) -> ModelSpec:
    return ModelSpec(family, variant, classes, num_anchors=len(ANCHORS[0]))


checkpoint_of = partial(trained_checkpoint, preprocess=BGR)


def distilled(student: Checkpoint, teacher: Checkpoint, reduce_mean=identity,
              **options) -> Objective:
    """Return the objective of a student, in evaluation mode, with its teacher."""
    spec = from_mapping({'teacher': 'x.pt', **options}, DistillSpec, 'test')
    model = student.model().eval()
    objective = build_objective(model, student.card, LossSpec(), reduce_mean)
    size = spec.input_size and ImageSize(spec.input_size.height, spec.input_size.width)
    objective.distillation = Distillation(
        spec, Teacher(teacher, student.card.preprocess, size), model, student.card, reduce_mean)
    return objective


def truths(images: int = 2) -> list[GroundTruth]:
    """Return images without objects, but for the first."""
    boxes = [torch.tensor([[4.0, 4.0, 40.0, 36.0]]), *[torch.zeros(0, 4)] * (images - 1)]
    return [GroundTruth(each, torch.zeros(len(each), dtype=torch.int64),
                        torch.ones(len(each)), torch.zeros(0, 4))
            for each in boxes]


def distill_terms(objective: Objective, images: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: term for name, term in objective(images, truths(len(images))).items()
            if name.startswith('distill_')}


def align_exactly(objective: Objective) -> None:
    for loss in objective.distillation.features:
        nn.init.dirac_(loss.align.weight)
        nn.init.zeros_(loss.align.bias)


def maps(*values: float) -> torch.Tensor:
    """Return one image with one channel, one row high."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)


def test_channel_wise_kl_by_hand():
    # positions of the teacher count 1/2 and 1/2, of the student 1/4 and 3/4
    student, teacher = maps(0, math.log(3)), maps(5, 5)
    wanted = 0.5 * math.log(4 / 3)
    assert channel_wise_kl(student, teacher, 1.0).item() == pytest.approx(wanted)
    assert channel_wise_kl(2 * student, teacher, 2.0).item() == pytest.approx(4 * wanted)
    # a mean over images and channels
    assert channel_wise_kl(student.expand(3, 2, 1, 2), teacher.expand(3, 2, 1, 2),
                           1.0).item() == pytest.approx(wanted)


def test_channel_wise_kl_of_the_same_or_of_one_place_is_zero():
    assert channel_wise_kl(maps(1, 2, 4), maps(1, 2, 4), 1.0).item() == pytest.approx(0, abs=1e-7)
    assert channel_wise_kl(maps(1), maps(7), 1.0).item() == 0


def test_normalized_by_hand_and_without_variance():
    torch.testing.assert_close(normalized(maps(1, 3)), maps(-1, 1), atol=1e-4, rtol=0)
    assert torch.equal(normalized(maps(7, 7, 7)), maps(0, 0, 0))
    assert torch.equal(normalized(maps(7)), maps(0))


def test_distribution_kl_by_hand():
    # one cell whose four sides are 1/4, 3/4 for the student and even for the teacher; one ignored
    student = torch.tensor([0, math.log(3)]).expand(2, 4, 2)
    loss = distribution_kl(student, torch.zeros(2, 4, 2), torch.tensor([0.5, 0.0]),
                           torch.tensor(0.5), 1.0)
    assert loss.item() == pytest.approx(0.5 * math.log(4 / 3))


def test_holes_of_masked_generation_follow_from_the_step():
    loss = MaskedGeneration(2, 3, FeatureSpec(kind='mgd'))
    student, teacher = torch.randn(2, 2, 8, 12), torch.randn(2, 3, 8, 12)
    assert torch.equal(loss(student, teacher, 5), loss(student, teacher, 5))
    assert not torch.equal(loss(student, teacher, 5), loss(student, teacher, 6))
    whole = MaskedGeneration(2, 3, FeatureSpec(kind='mgd', masked=0.0))
    assert torch.equal(whole(student, teacher, 5), whole(student, teacher, 6))
    for parameter in whole.generate.parameters():
        nn.init.zeros_(parameter)
    # then the teacher's variance of 1 is left: 3 channels of 96 cells, times the published 2e-5
    assert whole(student, teacher, 0).item() == pytest.approx(3 * 96 * 2e-5, rel=1e-3)


@pytest.mark.parametrize('scale', [1, 10])
def test_masked_generation_by_hand_from_a_student_of_any_scale(scale):
    loss = MaskedGeneration(1, 1, FeatureSpec(kind='mgd', masked=0.0))
    for conv in (loss.align, loss.generate[0], loss.generate[2]):  # all are identities
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)
    # both maps become -1, 1; the student's goes through ReLU to 0, 1: a square of 1
    found = loss(scale * maps(1, 3), maps(1, 3), 0)
    assert found.item() == pytest.approx(2e-5, rel=1e-4)


@pytest.mark.parametrize('kind', ['cwd', 'mimic'])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(kind):
    checkpoint = checkpoint_of(model_spec())
    objective = distilled(checkpoint, checkpoint, features={'kind': kind}, heads={})
    align_exactly(objective)
    terms = distill_terms(objective, torch.rand(2, 3, *SIZE))
    assert terms.keys() == {'distill_features', 'distill_score', 'distill_distribution'}
    assert all(term.item() == pytest.approx(0, abs=1e-6) for term in terms.values())


@pytest.mark.parametrize(('family', 'kind'), [
    ('nanodet_plus', 'cwd'), *(('nanodet', kind) for kind in KINDS)])
def test_student_and_its_convolutions_learn_and_the_teacher_does_not(family, kind):
    spec = model_spec(family, {'nanodet': '0.5x', 'nanodet_plus': 'm'}[family])
    objective = distilled(checkpoint_of(spec), checkpoint_of(spec), features={'kind': kind},
                          heads={})
    teacher = objective.distillation._teacher._model
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    set_training(objective, freeze_batch_norm=False)
    optimizer = build_optimizer(objective, OptimizerSpec())
    terms = distill_terms(objective, torch.rand(2, 3, *SIZE))
    assert all(term.shape == () and term.item() > 0 for term in terms.values())
    sum(terms.values()).backward()
    optimizer.step()
    learning = {*objective.model.parameters(), *objective.distillation.parameters()}
    assert all(parameter.grad is not None for parameter in learning)
    known = {each for group in optimizer.param_groups for each in group['params']}
    assert learning <= known and not known & set(teacher.parameters())
    assert not teacher.training
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not [name for name in objective.state_dict() if 'teacher' in name]


def test_weight_falls_along_a_cosine_over_the_run():
    checkpoint = checkpoint_of(model_spec())
    objective = distilled(checkpoint, checkpoint_of(model_spec()))
    images = torch.rand(1, 3, *SIZE)
    first, middle, last, beyond = (
        (objective.start_step(iteration, 11), distill_terms(objective, images))[1]
        ['distill_features'].item() for iteration in (0, 5, 10, 12))
    assert [middle / first, last / first, beyond / first] == pytest.approx([0.55, 0.1, 0.1])
    objective.start_step(0, 1)
    assert distill_terms(objective, images)['distill_features'].item() == pytest.approx(first)


@pytest.mark.parametrize('kind', KINDS)
def test_losses_are_whole_precision_where_the_network_is_not(kind):
    objective = distilled(checkpoint_of(model_spec()), checkpoint_of(model_spec()),
                          features={'kind': kind}, heads={})
    images = torch.rand(2, 3, *SIZE)
    wanted = distill_terms(objective, images)
    with torch.autocast('cpu', torch.bfloat16):
        terms = distill_terms(objective, images)
    for name, term in terms.items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(wanted[name].item(), rel=0.1)


PAIRS = {
    'other_width': (('nanodet', '0.5x'), ('nanodet', '1.5x'), {}),
    'other_family': (('nanodet', '0.5x'), ('yolov5_lite', 's'), {}),
    'one_more_stride': (('nanodet', '0.5x'), ('nanodet_plus', 'm'), {}),
    'one_stride_less': (('nanodet_plus', 'm'), ('nanodet', '0.5x'), {}),
    'one_level': (('yolof', '0.5x-dc5'), ('nanodet', '0.5x'), {}),
    'from_one_level': (('nanodet', '0.5x'), ('yolof', '0.5x'), {}),
    'of_searched_backbones': (('damo_yolo', 'ns'), ('damo_yolo', 'nm'), {'heads': {}}),
    'from_gfl_to_anchors': (('yolov5_lite', 'e'), ('nanodet_plus', 'm'), {}),
    'larger_images': (('nanodet', '0.5x'), ('nanodet', '0.5x'),
                      {'input_size': {'height': 96, 'width': 160}}),
    'smaller_images': (('yolov5_lite', 'e'), ('nanodet', '0.5x'),
                       {'input_size': {'height': 32, 'width': 32}}),
}


@pytest.mark.parametrize('pair', PAIRS)
def test_any_two_networks_are_a_pair(pair):
    student, teacher, options = PAIRS[pair]
    objective = distilled(checkpoint_of(model_spec(*student, classes=1)),
                          checkpoint_of(model_spec(*teacher, classes=3), preprocess=RGB),
                          **options)
    one_level = 'yolof' in (student[0], teacher[0])
    assert len(objective.distillation.features) == (1 if one_level else 3)
    term = distill_terms(objective, torch.rand(2, 3, *SIZE))['distill_features']
    assert 0 < term.item() < 100
    term.backward()
    assert all(parameter.grad.isfinite().all() and parameter.grad.any()
               for parameter in objective.distillation.parameters() if parameter.ndim > 1)


@pytest.mark.parametrize(('student', 'teacher'), [(BGR, RGB), (RGB, BGR), (BGR, BGR)])
def test_teacher_sees_what_its_own_preprocessing_makes(student, teacher):
    image_bgr = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    whole = Letterbox.fit(SIZE, SIZE, BGR, 32)
    blobs = [torch.from_numpy(make_blob(image_bgr, whole, spec).copy())[None]
             for spec in (student, teacher)]
    found = Teacher(checkpoint_of(model_spec(), preprocess=teacher), student).translate(blobs[0])
    torch.testing.assert_close(found, blobs[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('names', [('cat', 'dog', 'car'), ('dog',), ('tree', 'dog')])
def test_classes_meet_by_name(names):
    teacher = checkpoint_of(model_spec(classes=3), ('dog', 'car', 'cat'))
    spec = model_spec(classes=len(names))
    state = dict(teacher.state_dict)
    for key in [key for key in state if key.startswith('head.outputs.')]:
        rows = state[key]
        known = [rows[('dog', 'car', 'cat').index(name)] if name in ('dog', 'car', 'cat')
                 else torch.full_like(rows[0], 3.0) for name in names]
        state[key] = torch.cat((torch.stack(known), rows[3:]))
    student = Checkpoint(spec, msgspec.structs.replace(network_card(spec), class_names=names,
                                                       preprocess=BGR), state)
    objective = distilled(student, teacher, features=None, heads={})
    for term in distill_terms(objective, torch.rand(2, 3, *SIZE)).values():
        assert term.item() == pytest.approx(0, abs=1e-6)


def test_heads_of_two_processes_are_those_of_one():
    student, teacher = checkpoint_of(model_spec()), checkpoint_of(model_spec())
    images = torch.rand(4, 3, *SIZE)
    said = []
    objective = distilled(student, teacher, lambda value: said.append(value) or value,
                          features=None, heads={})
    imitation = objective.distillation._heads
    distill_terms(objective, images[:1]), distill_terms(objective, images[1:])
    mean = (said[1] + said[3]) / 2  # after the labels' own
    whole = distill_terms(objective, images)
    imitation._reduce_mean = lambda _: mean
    halves = [distill_terms(objective, half) for half in (images[:1], images[1:])]
    for name, term in whole.items():
        assert (halves[0][name] + halves[1][name]).item() / 2 == pytest.approx(term.item(), 1e-4)


@pytest.mark.parametrize(('student', 'teacher', 'words'), [
    (('nanodet', '0.5x'), ('yolov5_lite', 'e'), 'reg_max None, grid_offset None in the teacher'),
    (('yolov5_lite', 'e'), ('yolov5_lite', 'e'), 'two networks with the same distance'),
])
def test_heads_of_other_cells_are_refused(student, teacher, words):
    with pytest.raises(ConfigError, match=f'distill.heads: .*{words}'):
        distilled(checkpoint_of(model_spec(*student)), checkpoint_of(model_spec(*teacher)),
                  heads={})


def test_heads_whose_cells_have_other_centers_are_refused():
    """As those of NanoDet-m and NanoDet-Plus."""
    student, teacher = checkpoint_of(model_spec()), checkpoint_of(model_spec('nanodet_plus', 'm'))
    decode = msgspec.structs.replace(teacher.card.decode, grid_offset=0.0)
    teacher = replace(teacher, card=msgspec.structs.replace(teacher.card, decode=decode))
    with pytest.raises(ConfigError, match='reg_max 7, grid_offset 0.5 in the student, '
                                          'reg_max 7, grid_offset 0.0 in the teacher'):
        distilled(student, teacher, heads={})


def test_heads_without_a_common_class_are_refused():
    with pytest.raises(ConfigError, match="has no class of the student, such as 'cat'"):
        distilled(checkpoint_of(model_spec(), ('cat', 'dog')), checkpoint_of(model_spec()),
                  heads={})


def test_zoomed_heads_meet_where_their_cells_cover_the_same_pixels():
    """Strides 8 and 16 of the student are 16 and 32 of a teacher at twice the size."""
    card = checkpoint_of(model_spec()).card
    heads = [torch.randn(1, 34, *size) for size in ((16, 24), (8, 12), (4, 6), (2, 3))]
    teacher, student = heads[:3], [*heads[1:3], heads[3].clone()]
    imitation = HeadImitation(HeadSpec(), card, card, [(0, 1), (1, 2)], identity)

    def losses() -> list[float]:
        return [term.item() for term in imitation.terms(student, teacher).values()]

    assert losses() == pytest.approx([0, 0], abs=1e-6)
    student[2] += 1  # stride 32: the teacher has no 64
    assert losses() == pytest.approx([0, 0], abs=1e-6)
    student[1] = student[1] + 3 * torch.randn(34, 1, 1)
    assert min(losses()) > 1e-3


@pytest.mark.parametrize('family', ['nanodet', 'nanodet_plus'])
def test_zoomed_images_and_labels_shrink_for_the_student(family):
    checkpoint = checkpoint_of(model_spec(family, 'm' if family == 'nanodet_plus' else '0.5x'))
    objective = distilled(checkpoint, checkpoint, zoom=2, heads={})
    images = torch.rand(2, 3, 2 * SIZE.height, 2 * SIZE.width)
    small, labels = objective.distillation.for_student(images, truths())
    assert small.shape[2:] == SIZE
    assert small[1, 2, 5, 7].item() == pytest.approx(images[1, 2, 10:12, 14:16].mean().item())
    assert labels[0].boxes_xyxy.tolist() == [[2, 2, 20, 18]]
    assert labels[1].boxes_xyxy.shape == (0, 4)
    terms = objective(images, truths())
    objective.distillation = None
    for name, term in objective(small, labels).items():
        assert terms[name].item() == term.item()
    assert all(terms[f'distill_{name}'] > 0 for name in ('features', 'score', 'distribution'))


def test_only_the_wanted_strides_learn_from_the_teacher():
    checkpoint = checkpoint_of(model_spec())
    objective = distilled(checkpoint, checkpoint, zoom=2, strides=[16], heads={})
    assert 'at 2 times the input size, strides 32: cwd' in objective.distillation.describe()
    levels, heads = ([torch.randn(1, width, *size, requires_grad=True) for size in
                      ((8, 12), (4, 6), (2, 3))] for width in (96, 34))
    sum(objective.distillation(torch.rand(1, 3, 128, 192), levels, heads).values()).backward()
    for maps_of in (levels, heads):
        assert [each.grad is not None and each.grad.any().item() for each in maps_of] == [
            False, True, False]


def test_zoom_without_cells_on_each_other_is_refused():
    checkpoint = checkpoint_of(model_spec())
    with pytest.raises(ConfigError, match='expected at least one pair at zoom 3'):
        distilled(checkpoint, checkpoint, zoom=3)
    with pytest.raises(ConfigError, match='zoom and input_size are both set'):
        distilled(checkpoint, checkpoint, zoom=2, input_size={'height': 64, 'width': 64})


def test_networks_without_a_common_stride_are_refused():
    checkpoint = checkpoint_of(model_spec())
    teacher = Teacher(checkpoint, BGR)
    teacher.strides = (4, 64)
    with pytest.raises(ConfigError, match=r'strides \[4, 64\], the student at \[8, 16, 32\]'):
        Distillation(DistillSpec(teacher='x.pt'), teacher, build_model(checkpoint.spec),
                     checkpoint.card)
