# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Measure the locate node: position errors on rendered scenes, and CPU time per image."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
import sys
import time
from typing import NamedTuple

from lite_detector.core.types import ImageSize
from lite_detector.scene.depth import DepthImage
from lite_detector.scene.locating import locate
from lite_detector.scene.object_sizes import KnownSize
from lite_detector.scene.point_cloud import project_points
from lite_detector.scene.projection import Calibration, CameraModel
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'test' / 'helpers'))
from depth_scenes import center_medians, mean_depths, Scene, scenes  # noqa: E402, I100, I202

LIMITS_M = (0.1, 60.0)
REPEATS = 300


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables of errors and CPU time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--scenes', type=int, default=500, metavar='N')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--objects', type=int, default=20, metavar='N')
    args = parser.parse_args(argv)
    report('depth camera, 320x240, bodies at 0.8 .. 6 m',
           list(scenes(args.scenes, args.seed)), lambda scene, _: scene.depth)
    report('LiDAR of 30 m, 48 lines, bodies at 0.8 .. 25 m',
           list(scenes(args.scenes // 2, args.seed, size=ImageSize(480, 640), reach_m=25.0)),
           lambda scene, camera: project_points(scene.points, camera, LIMITS_M[1]))
    cost(args.objects)
    return 0


def report(title: str, measured: list[Scene],
           depth_of: Callable[[Scene, CameraModel], DepthImage]) -> None:
    """Print the errors of three estimators, in percent of the distance."""
    print(f'{title}: {sum(len(scene.depths_m) for scene in measured)} bodies')
    print('estimator            median   p95  to centre  unknown  on background')
    for name in ('mean of the box', 'median of centre', 'locate'):
        errors, centers, background = [], [], []
        for scene in measured:
            camera = camera_of(scene)
            depth = depth_of(scene, camera)
            # the other estimators receive the same depth image as the locator
            shown = scene._replace(depth=depth._replace(pixels=resized(depth, scene.size)))
            found = located_at(name, shown, camera, depth)
            distance = np.linalg.norm(scene.points_m, axis=1)
            errors += (np.linalg.norm(found - scene.points_m, axis=1) / distance).tolist()
            centers += (np.linalg.norm(found - scene.centers_m, axis=1) / distance).tolist()
            background += (np.abs(found[:, 2] - scene.background_m)
                           < np.abs(found[:, 2] - scene.depths_m)).tolist()
        errors = 100 * np.array(errors)
        print(f'{name:20} {np.nanmedian(errors):6.2f} {np.nanpercentile(errors, 95):5.1f} '
              f'{100 * np.nanmedian(centers):10.2f} {100 * np.isnan(errors).mean():8.2f} '
              f'{100 * np.mean(background):14.2f}')


def located_at(name: str, scene: Scene, camera: CameraModel, depth: DepthImage) -> np.ndarray:
    """Return the positions of one estimator in metres, shape (n, 3)."""
    boxes = scene.boxes_xyxy.astype(np.float32)
    if name == 'locate':
        return locate(boxes, [''] * len(boxes), camera, depth, {}, LIMITS_M).positions
    z = mean_depths(scene) if name.startswith('mean') else center_medians(scene)
    rays = camera.normalized((boxes[:, :2] + boxes[:, 2:]) / 2)
    return np.column_stack((rays, np.ones(len(rays)))) * z[:, None]


def camera_of(scene: Scene) -> CameraModel:
    """Return the camera of a rendered scene."""
    x, y = scene.center
    return CameraModel(Calibration(scene.size, (scene.focal, 0, x - 0.5, 0, scene.focal, y - 0.5,
                                                0, 0, 1)))


def resized(depth: DepthImage, size: ImageSize) -> np.ndarray:
    """Return the depth at the size of the camera; holes are 0."""
    height, width = depth.pixels.shape
    rows = np.arange(size.height) * height // size.height
    columns = np.arange(size.width) * width // size.width
    pixels = depth.pixels[rows[:, None], columns]
    return np.where(np.isfinite(pixels), pixels, 0)


class Image(NamedTuple):
    """Input of the CPU measurement."""

    calibration: Calibration
    boxes_xyxy: np.ndarray
    """Boxes in pixels, float32, shape (n, 4)."""
    depth_mm: np.ndarray
    """Depth in mm, uint16, shape (height, width); one tenth of it are holes."""


def image_of(objects: int) -> Image:
    """Return an image of 640x480."""
    random = np.random.default_rng(0)
    calibration = Calibration(ImageSize(480, 640), (600.0, 0, 320, 0, 600, 240, 0, 0, 1),
                              (-0.35, 0.15, 0.001, -0.0005, -0.02), 'plumb_bob')
    pixels = np.full((480, 640), 6000, np.uint16)
    centers = random.uniform((60, 60), (580, 420), (objects, 2))
    half = random.uniform(20, 55, (objects, 2))
    boxes = np.concatenate((centers - half, centers + half), axis=1).astype(np.float32)
    for index, (left, top, right, bottom) in enumerate(boxes.astype(int)):
        pixels[top:bottom, left:right] = 1500 + 150 * index
    pixels[random.random(pixels.shape) < 0.1] = 0
    return Image(calibration, boxes, pixels)


def cost(objects: int) -> None:
    """Print the CPU time of one image."""
    image = image_of(objects)
    camera, depth = CameraModel(image.calibration), DepthImage(image.depth_mm, 0.001)
    sizes = {'person': KnownSize(1, 1.7, 0.1)}
    report_cpu(f'locate(): {objects} boxes on 640x480', lambda: locate(
        image.boxes_xyxy, ['person'] * objects, camera, depth, sizes, LIMITS_M))
    try:
        import rclpy
    except ImportError:
        print('locate_node not measured: ROS not found')
        return
    from locate_probe import LocateProbe
    rclpy.init()
    with LocateProbe(image.calibration, image.boxes_xyxy, image.depth_mm) as probe:
        report_cpu('locate_node: from the serialized messages to the published Detection3DArray',
                   probe.step)
    rclpy.shutdown()


def report_cpu(what: str, step: Callable[[], object]) -> None:
    """Print the CPU time of this thread that a step takes."""
    cpu_ms = []
    for _ in range(REPEATS):
        start = time.thread_time()
        step()
        cpu_ms.append((time.thread_time() - start) * 1e3)
    print(f'{what}: {np.median(cpu_ms):.2f} ms of CPU time (median), {min(cpu_ms):.2f} at least')


if __name__ == '__main__':
    sys.exit(main())
