# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import math
from pathlib import Path

import cv2
import lite_detector
from lite_detector.core.errors import ConfigError, ImageError, ModelError
from lite_detector.core.model_card import RESIZES
from lite_detector.core.tiling import View
from lite_detector.core.types import Detections, ImageSize
from lite_detector.detector import Detector, Selection
import numpy as np
import onnx
import pytest
from tiny_models import (
    change_card,
    square_image,
    write_decoded_damo_yolo,
    write_tiny_damo_yolo,
    write_tiny_nanodet,
    write_tiny_yolof,
    write_tiny_yolov5,
)

FULL_SCORE = 1 / (1 + math.exp(-10))
WHITE, BLUE, GREEN, RED = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)
FAMILIES = {'nanodet': write_tiny_nanodet, 'yolov5_lite': write_tiny_yolov5,
            'yolof': write_tiny_yolof, 'damo_yolo': write_tiny_damo_yolo}


def load(folder: Path, **options: object) -> Detector:
    return Detector.from_folder(folder, precision='fp32', **options)


def assert_one(found: Detections, box: tuple[float, ...], class_id: int = 0,
               score: float = FULL_SCORE) -> None:
    np.testing.assert_allclose(found.boxes_xyxy, [box], atol=1e-3)
    np.testing.assert_allclose(found.scores, [score], atol=1e-3)
    np.testing.assert_array_equal(found.class_ids, [class_id])
    assert (found.boxes_xyxy.dtype, found.scores.dtype) == (np.float32, np.float32)
    assert found.class_ids.dtype == np.int64


@pytest.mark.parametrize('write', FAMILIES.values(), ids=FAMILIES)
def test_detect_in_a_black_picture_finds_nothing(tmp_path, write):
    found = load(write(tmp_path / 'tiny')).detect(np.zeros((64, 96, 3), np.uint8))
    assert found.boxes_xyxy.shape == (0, 4)
    assert found.boxes_xyxy.dtype == np.float32


# image (height, width), square (top, left, side); the input of the network is 96 x 64
@pytest.mark.parametrize(('size', 'square'), [
    ((64, 96), (32, 64, 32)),
    ((128, 192), (0, 64, 64)),
    ((128, 128), (64, 64, 64)),
    ((192, 96), (96, 0, 96)),
    ((32, 48), (16, 32, 16)),
], ids=['as it is', 'half', 'square', 'portrait', 'enlarged'])
@pytest.mark.parametrize('write', FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize('runtime', ['ncnn', 'onnx'])
def test_detect_finds_the_square_in_camera_pixels(tmp_path, write, runtime, size, square):
    top, left, side = square
    image = square_image(*size, top, left, side=side)
    found = load(write(tmp_path / 'tiny'), runtime=runtime).detect(image)
    # the enlarged square has soft edges, and a third of the portrait's cell is padding
    clear = found.select(found.scores > 0.99)
    np.testing.assert_allclose(clear.boxes_xyxy, [(left, top, left + side, top + side)], atol=0.01)


# the picture is stretched: twice as wide and half as high as the input, the boxes likewise
@pytest.mark.parametrize('num_classes', [1, 3])
def test_detect_with_a_public_damo_yolo_file_needs_its_card_alone(tmp_path, num_classes):
    detector = load(write_decoded_damo_yolo(tmp_path / 'public', num_classes), runtime='onnx')
    image = np.zeros((32, 192, 3), np.uint8)
    assert len(detector.detect(image)) == 0
    image[16:32, 64:128] = RED if num_classes > 1 else WHITE
    assert_one(detector.detect(image), (64, 16, 128, 32))


def test_detect_with_a_public_file_of_other_classes_names_the_shapes(tmp_path):
    folder = write_decoded_damo_yolo(tmp_path / 'public')
    change_card(folder, 'class_names', ['one'])
    with pytest.raises(ModelError, match=r'\(126, 2\); expected \(126, 1\): class_names'):
        load(folder, runtime='onnx')


def test_detect_cuts_boxes_at_the_border_of_the_picture(tiny_nanodet):
    # 48 rows lie at 8 .. 56 of 64: the square fills 24 of the cell's 32 rows, logit 20 * 0.75 - 10
    image = square_image(48, 96, top=24, left=64)
    assert_one(load(tiny_nanodet).detect(image), (64, 24, 96, 48), score=1 / (1 + math.exp(-5)))


@pytest.mark.parametrize(('color', 'square', 'class_id'), [
    ('bgr', BLUE, 0), ('bgr', GREEN, 1), ('bgr', RED, 2),
    ('rgb', BLUE, 2), ('rgb', GREEN, 1), ('rgb', RED, 0),
])
def test_detect_keeps_the_order_of_colours(tmp_path, color, square, class_id):
    folder = write_tiny_nanodet(tmp_path / 'tiny', num_classes=3)
    change_card(folder, 'preprocess.color', color)
    found = load(folder).detect(square_image(64, 96, 0, 32, square))
    assert_one(found, (32, 0, 64, 32), class_id)


def test_detect_finds_nothing_where_only_the_padding_lights_up(tiny_nanodet):
    change_card(tiny_nanodet, 'preprocess.resize', 'letterbox_square')
    change_card(tiny_nanodet, 'preprocess.pad_value', 255)
    # 32 x 64 in the middle of 96 x 64: the left and the right third are white
    found = load(tiny_nanodet).detect(np.zeros((128, 64, 3), np.uint8))
    assert found.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize('write', FAMILIES.values(), ids=FAMILIES)
def test_detect_with_one_class_works(tmp_path, write):
    found = load(write(tmp_path / 'tiny', num_classes=1)).detect(square_image(64, 96, 0, 0))
    assert_one(found, (0, 0, 32, 32))


def test_detect_with_the_score_at_the_graphs_end_gives_the_same(tiny_nanodet):
    change_card(tiny_nanodet, 'decode.score_activation', 'none')
    found = load(tiny_nanodet).detect(square_image(64, 96, 0, 0))
    assert_one(found, (0, 0, 32, 32), score=10)


@pytest.mark.parametrize('view', [
    lambda image: image[:, ::-1],
    lambda image: image[:64, :96],
    lambda image: np.asfortranarray(image[:64, :96]),
], ids=['mirrored', 'roi', 'fortran'])
def test_detect_in_a_view_equals_that_in_its_copy(tiny_nanodet, view):
    image = view(square_image(128, 192, 0, 64, side=64))
    detector = load(tiny_nanodet)
    found, wanted = detector.detect(image), detector.detect(image.copy(order='C'))
    assert len(wanted) > 0
    np.testing.assert_array_equal(found.boxes_xyxy, wanted.boxes_xyxy)


def sideways(height: int, width: int) -> tuple[np.ndarray, list[tuple[float, ...]]]:
    """Return blue at the right of the second row of cells, green in the first, and their boxes."""
    image = np.maximum(square_image(height, width, 64, width - 64, BLUE, 64),
                       square_image(height, width, 0, 0, GREEN, 64))
    return image, [(width - 64, 64, width, 128), (0, 0, 64, 64)]


# with an input of 96, what the network gets is 192 wide or high, so that a square is one cell
@pytest.mark.parametrize('angle', [0, 90, 180, 270])
@pytest.mark.parametrize(('size', 'view', 'class_ids'), [
    ((128, 192), {}, [0, 1]),
    ((192, 288), {'columns': 2, 'overlap': 0.5, 'mode': 'tiles_only'}, [0, 1]),
    ((192, 288), {'region': (96, 0, 288, 192)}, [0]),
], ids=['full image', 'tiles', 'region'])
def test_detect_rotated_gives_boxes_in_camera_pixels(tiny_nanodet, angle, size, view, class_ids):
    image, boxes = sideways(*size)
    found = load(tiny_nanodet, input_size=ImageSize(96, 96),
                 view=View(rotate=angle, **view)).detect(image)
    assert sorted(found.class_ids.tolist()) == class_ids
    for box, class_id in zip(found.boxes_xyxy, found.class_ids.tolist(), strict=True):
        np.testing.assert_allclose(box, boxes[class_id], atol=0.1)


@pytest.mark.parametrize('turns', [1, 2, 3])
def test_detect_rotated_gives_the_network_the_image_clockwise(tiny_nanodet, turns, monkeypatch):
    blobs = []
    scene, _ = sideways(128, 192)
    for image, angle in ((np.rot90(scene, -turns), 0), (scene, 90 * turns)):
        detector = load(tiny_nanodet, input_size=ImageSize(96, 96), view=View(rotate=angle))
        infer = detector.backend.infer
        monkeypatch.setattr(detector.backend, 'infer',
                            lambda blob, run=infer: blobs.append(blob.copy()) or run(blob))
        detector.detect(image)
    np.testing.assert_array_equal(*blobs)


@pytest.mark.parametrize('angle', [0, 90, 180, 270])
def test_detect_rotated_keeps_the_mask_in_camera_pixels(tiny_nanodet, tmp_path, angle):
    image, boxes = sideways(128, 192)
    mask = np.full((2, 3), 255, np.uint8)
    mask[1, 2] = 0  # where blue is
    cv2.imwrite(str(tmp_path / 'mask.png'), mask)
    view = View(mask=str(tmp_path / 'mask.png'), rotate=angle)
    found = load(tiny_nanodet, input_size=ImageSize(96, 96), view=view).detect(image)
    assert_one(found, boxes[1], class_id=1)


def test_detect_leaves_the_picture_as_it_is_and_takes_a_read_only_one(tiny_nanodet):
    image = square_image(64, 96, 0, 0)
    image.flags.writeable = False
    assert len(load(tiny_nanodet).detect(image)) == 1


def test_detect_with_cameras_in_turn_confuses_nothing(tiny_nanodet):
    detector = load(tiny_nanodet)
    for _ in range(3):
        assert_one(detector.detect(square_image(64, 96, 32, 64)), (64, 32, 96, 64))
        assert_one(detector.detect(square_image(128, 128, 0, 64, side=64)), (64, 0, 128, 64))
        assert len(detector.detect(np.zeros((48, 96, 3), np.uint8))) == 0


@pytest.mark.parametrize(('image', 'message'), [
    (None, 'image is NoneType; expected a NumPy array'),
    ([[0]], 'image is list'),
    (np.zeros((64, 96), np.uint8), r'image is uint8 of shape \(64, 96\); expected uint8 of shape'),
    (np.zeros((64, 96, 1), np.uint8), r'of shape \(64, 96, 1\)'),
    (np.zeros((64, 96, 4), np.uint8), r'of shape \(64, 96, 4\)'),
    (np.zeros((1, 64, 96, 3), np.uint8), r'of shape \(1, 64, 96, 3\)'),
    (np.zeros((64, 96, 3), np.float32), 'image is float32'),
    (np.zeros((64, 96, 3), np.uint16), 'image is uint16'),
    (np.zeros((64, 96, 3), bool), 'image is bool'),
    (np.zeros((0, 96, 3), np.uint8), 'image is 96x0 pixels; expected sides of 8 to 16384'),
    (np.zeros((1, 1, 3), np.uint8), 'image is 1x1 pixels'),
    (np.zeros((7, 96, 3), np.uint8), 'image is 96x7 pixels'),
    (np.zeros((8, 16385, 3), np.uint8), 'image is 16385x8 pixels'),
], ids=['none', 'list', 'gray', 'one channel', 'alpha', 'batch', 'float', '16 bit', 'bool',
        'empty', 'pixel', 'low', 'long'])
def test_detect_in_what_is_no_image_says_what_it_got(tiny_nanodet, image, message):
    with pytest.raises(ImageError, match=message):
        load(tiny_nanodet).detect(image)


@pytest.mark.parametrize('size', [(8, 8), (8, 16384), (16384, 8)], ids=str)
@pytest.mark.parametrize('resize', RESIZES)
def test_detect_in_a_picture_of_extreme_size_finds_it_all_white(tiny_nanodet, size, resize):
    detector = load(tiny_nanodet, resize=resize, selection=Selection(score_threshold=0))
    found = detector.detect(np.full((*size, 3), 255, np.uint8))
    assert len(found) > 0
    assert (found.boxes_xyxy >= 0).all()
    assert (found.boxes_xyxy <= (size[1], size[0]) * 2).all()


def two_squares() -> np.ndarray:
    """Return a blue square (class 0) at the left and a green one of 3/4 (class 1) at the right."""
    return square_image(64, 96, 0, 0, BLUE) + square_image(64, 96, 0, 64, (0, 191, 0))


@pytest.mark.parametrize(('selection', 'class_ids'), [
    (Selection(), [0, 1]),
    (Selection(score_threshold=0.9935), [0]),
    (Selection(score_threshold=1), []),
    (Selection(max_detections=1), [0]),
    (Selection(classes=('object1',)), [1]),
    (Selection(classes=('object1', 'object0')), [0, 1]),
    (Selection(classes=('object1',), max_detections=1), [1]),
    # the scores are sigmoid(10) = 0.99995 and sigmoid(4.98) = 0.9932
    (Selection(class_thresholds={'object0': 1.0}), [1]),
    (Selection(class_thresholds={'object1': 0.9935}), [0]),
    (Selection(class_thresholds={'object1': 0.993}), [0, 1]),
    (Selection(score_threshold=1, class_thresholds={'object1': 0.5}), [1]),
    (Selection(classes=('object1',), class_thresholds={'object0': 0.1}), [1]),
    (Selection(class_agnostic_nms=True), [0, 1]),
])
def test_selection_says_which_boxes_are_wanted(tiny_nanodet, selection, class_ids):
    found = load(tiny_nanodet, selection=selection).detect(two_squares())
    assert found.class_ids.tolist() == class_ids


def test_selection_changes_with_the_next_image(tiny_nanodet):
    detector = load(tiny_nanodet)
    assert detector.detect(two_squares()).class_ids.tolist() == [0, 1]
    detector.selection = Selection(classes=('object1',))
    assert detector.detect(two_squares()).class_ids.tolist() == [1]
    assert detector.selection.classes == ('object1',)
    detector.selection = Selection()
    assert detector.detect(two_squares()).class_ids.tolist() == [0, 1]


@pytest.mark.parametrize(('selection', 'message'), [
    (Selection(classes=('cat',)), "classes: tiny_nanodet has no class 'cat'"),
    (Selection(score_threshold=1.5), r'selection: \$.score_threshold: .*<= 1'),
    (Selection(score_threshold=math.nan), r'selection: \$.score_threshold'),
    (Selection(nms_iou_threshold=-1), r'selection: \$.nms_iou_threshold: .*>= 0'),
    (Selection(max_detections=0), r'selection: \$.max_detections: .*>= 1'),
    (Selection(class_thresholds={'cat': 0.5}), "class_thresholds: .* has no class 'cat'"),
    (Selection(class_thresholds={'object0': 2}), r'selection: \$.class_thresholds.*<= 1'),
])
def test_selection_that_is_impossible_is_refused_and_the_old_one_stays(tiny_nanodet, selection,
                                                                       message):
    detector = load(tiny_nanodet)
    with pytest.raises(ConfigError, match=message):
        detector.selection = selection
    assert detector.selection == Selection()


def test_nms_threshold_of_the_selection_decides_about_overlaps(tmp_path):
    folder = write_tiny_yolov5(tmp_path / 'tiny')
    # boxes of three cells, one cell apart: 64 of 128 pixels in common
    change_card(folder, 'decode.anchors', [[[8, 8]] * 2, [[16, 16]] * 2, [[96, 32]] * 2])
    image = square_image(64, 96, 0, 0, side=32) | square_image(64, 96, 0, 32, side=32)
    for threshold, count in ((0.49, 1), (0.51, 2)):
        detector = load(folder, selection=Selection(nms_iou_threshold=threshold))
        candidates = detector.backend.infer(detector.make_blob(image, detector.fit(image)))
        assert len(detector.postprocess(candidates, detector.fit(image))) == count


# a cell is 32 pixels of the input: with 32 x 32 the full image, with 192 x 128 half a cell
@pytest.mark.parametrize(('size', 'extent'), [
    (ImageSize(32, 32), (96, 64)), (ImageSize(128, 192), (16, 16)),
], ids=str)
def test_input_size_that_is_not_the_cards_is_used(tiny_nanodet, size, extent):
    found = load(tiny_nanodet, input_size=size).detect(np.full((64, 96, 3), 255, np.uint8))
    extents = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
    assert len(found) == (96 // extent[0]) * (64 // extent[1])
    np.testing.assert_allclose(extents, [extent] * len(found), atol=1e-3)


@pytest.mark.parametrize('size', [ImageSize(100, 64), ImageSize(0, 64), ImageSize(64, 8192)],
                         ids=str)
def test_input_size_off_the_grid_is_refused(tiny_nanodet, size):
    with pytest.raises(ConfigError, match=f'input size {size}: '):
        load(tiny_nanodet, input_size=size)


def test_input_size_off_the_grid_of_the_network_is_refused(tiny_nanodet):
    change_card(tiny_nanodet, 'input_size.width', 128)
    change_card(tiny_nanodet, 'decode.strides', [16, 32, 64])
    with pytest.raises(ConfigError, match='input_size: 160x64; expected multiples of 64 for'):
        load(tiny_nanodet, input_size=ImageSize(64, 160))


def test_resize_that_is_not_the_cards_is_used(tiny_nanodet):
    detector = load(tiny_nanodet, resize='stretch')
    assert detector.fit(np.zeros((64, 64, 3), np.uint8)).input_size == ImageSize(64, 96)
    wide = np.zeros((40, 80, 3), np.uint8)  # 48 x 96 in the input, padded or stretched to 64 x 96
    assert load(tiny_nanodet).fit(wide).resized_size == ImageSize(48, 96)
    filled = load(tiny_nanodet, resize='stretch_rect').fit(wide)
    assert filled.resized_size == filled.input_size == ImageSize(64, 96)
    assert load(tiny_nanodet).fit(np.zeros((64, 64, 3), np.uint8)).input_size == ImageSize(64, 64)


def test_resize_of_an_unknown_name_is_refused(tiny_nanodet):
    with pytest.raises(ConfigError, match=r"resize: \$.resize: Invalid enum value 'crop'"):
        load(tiny_nanodet, resize='crop')


@pytest.mark.parametrize('write', FAMILIES.values(), ids=FAMILIES)
def test_load_with_class_names_that_do_not_fit_the_network_is_refused(tmp_path, write):
    folder = write(tmp_path / 'tiny', num_classes=2)
    change_card(folder, 'class_names', ['a', 'b', 'c'])
    with pytest.raises(ModelError, match=r'output has shape \(\d+, \d+, \d+\); expected .*: '
                                         'class_names'):
        load(folder)


def test_load_of_weights_that_are_no_numbers_is_refused(tiny_nanodet):
    path = tiny_nanodet / 'model.bin'
    path.write_bytes(path.read_bytes()[:-4] + np.array(np.nan, np.float32).tobytes())
    with pytest.raises(ModelError, match='tiny_nanodet: network outputs contain NaN or infinity'):
        load(tiny_nanodet)


@pytest.mark.parametrize('resize', ['letterbox_square', 'letterbox_rect', 'stretch_rect'])
def test_load_of_a_network_of_one_input_size_is_refused_where_images_have_their_own(
        tiny_nanodet, resize):
    model = onnx.load(tiny_nanodet / 'model.onnx')
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_value, dims[3].dim_value = 64, 96
    onnx.save(model, tiny_nanodet / 'model.onnx')
    if resize == 'letterbox_square':
        assert_one(load(tiny_nanodet, runtime='onnx', resize=resize).detect(
            square_image(64, 96, 32, 64)), (64, 32, 96, 64))
        return
    with pytest.raises(ModelError, match='supports only the input size 96x64; '
                                         'set resize to letterbox_square or stretch instead of '):
        load(tiny_nanodet, runtime='onnx', resize=resize)


def test_load_model_by_path_and_by_name_finds_the_same(tiny_nanodet, monkeypatch):
    monkeypatch.setenv('LITE_DETECTOR_MODELS', str(tiny_nanodet.parent))
    image = square_image(64, 96, 32, 64)
    for model in (str(tiny_nanodet), 'tiny'):
        detector = lite_detector.load_model(model, precision='fp32', num_threads=2)
        assert isinstance(detector, lite_detector.Detector)
        assert isinstance(detector.detect(image), lite_detector.Detections)
        assert_one(detector.detect(image), (64, 32, 96, 64))


def test_package_has_no_other_public_names():
    with pytest.raises(AttributeError, match="module 'lite_detector' has no attribute 'detect'"):
        _ = lite_detector.detect


def test_detector_without_torch_and_rclpy_loads_only_its_runtime(tiny_nanodet, run_python):
    done = run_python('-c', """
import sys
sys.modules['torch'] = sys.modules['rclpy'] = None
import lite_detector.detector
assert not {'ncnn', 'onnxruntime'} & set(sys.modules)
lite_detector.load_model(sys.argv[1])
print('ncnn' in sys.modules, 'onnxruntime' in sys.modules)
""", tiny_nanodet)
    assert done.stdout == 'True False\n', done.stderr
