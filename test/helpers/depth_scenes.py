# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Rendered scenes whose distances are known: boxes and spheres before a wall, by ray casting."""

from collections.abc import Iterator
from typing import NamedTuple

from lite_detector.core.types import ImageSize
from lite_detector.scene.depth import DepthImage
import numpy as np

CAMERA_HEIGHT_M = 1.2
ORIGIN = np.zeros(3)
SIZE = ImageSize(240, 320)
LIDAR = np.array((0.05, -0.12, -0.05))
"""Where it is in the optical frame of the camera."""


class Scene(NamedTuple):
    """One image of a depth camera, and what is really there."""

    focal: float
    center: tuple[float, float]
    size: ImageSize
    depth: DepthImage
    """Depth image with the noise and holes of a camera."""
    boxes_xyxy: np.ndarray
    """Boxes of a detector: each side is off by 4 %."""
    depths_m: np.ndarray
    """Median depth of the visible part of each object."""
    points_m: np.ndarray
    """Middle of the visible part of each object, shape (n, 3)."""
    centers_m: np.ndarray
    """Centres of the bodies, which reach behind what is visible."""
    background_m: np.ndarray
    """Depth behind each object: median of the wall or floor in its box."""
    points: np.ndarray
    """Points of a LiDAR above the camera, in the optical frame, shape (n, 3)."""


def rays(size: ImageSize, focal: float, center: tuple[float, float]) -> np.ndarray:
    """Return x, y, 1 through the centre of each pixel, shape (height, width, 3)."""
    x = (np.arange(size.width) + 0.5 - center[0]) / focal
    y = (np.arange(size.height) + 0.5 - center[1]) / focal
    return np.stack((*np.meshgrid(x, y), np.ones(size)), axis=-1)


class Body(NamedTuple):
    """A sphere (no rotation) or a turned cuboid."""

    middle: np.ndarray
    sides: np.ndarray
    rotation: np.ndarray | None = None

    def depth(self, directions: np.ndarray, origin: np.ndarray = ORIGIN) -> np.ndarray:
        """Return the depth at which rays from an origin enter; infinity: they miss it."""
        middle = self.middle - origin
        if self.rotation is None:
            return sphere_depth(directions, middle, self.sides[0] / 2)
        return cuboid_depth(directions, middle, self.sides, self.rotation)


def sphere_depth(directions: np.ndarray, middle: np.ndarray, radius: float) -> np.ndarray:
    """Return the depth at which rays enter a sphere; infinity: they miss it."""
    a = (directions ** 2).sum(-1)
    b = directions @ middle
    root = b ** 2 - a * (middle @ middle - radius ** 2)
    return np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)


def cuboid_depth(directions: np.ndarray, middle: np.ndarray, sides: np.ndarray,
                 rotation: np.ndarray) -> np.ndarray:
    """Return the depth at which rays enter a turned cuboid; infinity: they miss it."""
    local, start = directions @ rotation, -middle @ rotation
    with np.errstate(divide='ignore'):
        first = (-sides / 2 - start) / local
        second = (sides / 2 - start) / local
    enter = np.minimum(first, second).max(-1)
    leave = np.maximum(first, second).min(-1)
    return np.where((enter < leave) & (enter > 0), enter, np.inf)


class Background(NamedTuple):
    """A wall with reliefs, and the floor before it."""

    wall_m: float
    phase: np.ndarray

    def depth(self, directions: np.ndarray, origin: np.ndarray = ORIGIN) -> np.ndarray:
        """Return the depth at which rays from an origin end."""
        x, y = (directions[..., axis] * self.wall_m for axis in (0, 1))
        relief = (0.06 * np.sin(3 * x + self.phase[0])
                  + 0.04 * np.sign(np.sin(5 * y + self.phase[1])))
        with np.errstate(divide='ignore'):
            floor = np.where(directions[..., 1] > 0,
                             (CAMERA_HEIGHT_M - origin[1]) / directions[..., 1], np.inf)
        return np.minimum(self.wall_m - origin[2] + relief, floor)


def turn(random: np.random.Generator) -> np.ndarray:
    """Return a random rotation."""
    q, _ = np.linalg.qr(random.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def random_body(half: np.ndarray, random: np.random.Generator, reach_m: float) -> Body:
    """Return a body in sight; ``half`` is how far the image reaches at depth 1."""
    distance = np.exp(random.uniform(np.log(0.8), np.log(reach_m)))
    middle = np.append(random.uniform(-half, half) * 0.75 * distance, distance)
    size = distance * np.exp(random.uniform(np.log(0.06), np.log(0.35)))
    kind = random.integers(4)
    if kind == 0:
        return Body(middle, np.full(3, size))
    if kind == 1:  # an upright figure
        return Body(middle, size * np.array((0.4, 1.2, 0.25)), np.eye(3))
    sides = size * random.uniform(0.5, 1.0, 3)
    if kind == 2:  # a bar: most of its box is background where it lies aslant
        sides *= (0.2, 1.3, 0.2)
    return Body(middle, sides, turn(random))


def lidar_points(layers: list[Background | Body], half: np.ndarray, random: np.random.Generator,
                 reach_m: float, beams: int = 48) -> np.ndarray:
    """Return the points of a LiDAR that turns: lines 0.8 degrees apart, points 0.2 degrees."""
    elevations = np.radians(np.linspace(-19, 19, beams))
    azimuths = np.arange(-np.arctan(half[0] * 1.3), np.arctan(half[0] * 1.3), np.radians(0.2))
    x = np.tan(azimuths)[None].repeat(beams, 0)
    y = np.tan(elevations)[:, None] * np.hypot(1, x)
    directions = np.stack((x, y, np.ones_like(x)), axis=-1)
    depths = np.min([layer.depth(directions, LIDAR) for layer in layers], axis=0)
    length = np.linalg.norm(directions, axis=-1)
    depths += random.normal(0, 0.02, depths.shape) / length
    depths[(depths * length > reach_m) | (random.random(depths.shape) < 0.05)] = np.nan
    return (directions * depths[..., None] + LIDAR).reshape(-1, 3)


def camera_noise(depth: np.ndarray, edges: np.ndarray, random: np.random.Generator,
                 limit_m: float) -> np.ndarray:
    """
    Return what a stereo depth camera makes of true depths; 0 is a hole.

    Noise grows with the square of the depth, edges have holes and mixed values, spots are missing.
    """
    height, width = depth.shape
    noisy = depth + random.normal(0, 1, depth.shape) * 0.0025 * depth ** 2
    mixed = edges & (random.random(depth.shape) < 0.3)
    other = np.roll(depth, random.integers(1, 3), axis=1)
    noisy[mixed] = (depth + other)[mixed] / 2
    noisy[edges & ~mixed & (random.random(depth.shape) < 0.6)] = 0
    noisy[random.random(depth.shape) < 0.03] = 0
    rows, columns = np.ogrid[:height, :width]
    for _ in range(12):  # glossy and dark spots
        radius = random.uniform(0.01, 0.05) * width
        y, x = random.uniform((0, 0), (height, width))
        noisy[(rows - y) ** 2 + (columns - x) ** 2 < radius ** 2] = 0
    noisy[(noisy > limit_m) | (noisy < 0.3)] = 0
    return noisy


def render(random: np.random.Generator, size: ImageSize = SIZE,
           reach_m: float = 6.0) -> Scene | None:
    """
    Render a scene of one to five bodies; None: nothing of them is whole enough to be seen.

    :param reach_m: largest distance of a body; the wall is behind it.
    """
    focal, center = 0.95 * size.width, (size.width / 2 + 3.0, size.height / 2 - 2.0)
    directions = rays(size, focal, center)
    half = np.abs(directions[0, 0, :2])
    world = [Background(reach_m * random.uniform(1.05, 1.6), random.uniform(0, 6, 2)),
             *(random_body(half, random, reach_m) for _ in range(random.integers(1, 6)))]
    layers = np.stack([each.depth(directions) for each in world])
    wall, bodies = layers[0], layers[1:]
    owner, clean = layers.argmin(0), layers.min(0)
    edges = np.zeros(size, bool)
    for axis in (0, 1):
        step = np.abs(np.diff(clean, axis=axis, append=clean.take([-1], axis))) > 0.05 * clean
        edges |= step | np.roll(step, 1, axis) | np.roll(step, -1, axis)
    found = []
    for index, alone in enumerate(bodies, 1):
        whole, seen = np.isfinite(alone), owner == index
        # a detector finds what is visible by more than half
        if seen.sum() < max(60, 0.6 * whole.sum()) or touches_border(whole):
            continue
        rows, columns = np.nonzero(seen)
        box = np.array((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), float)
        median = np.median(clean[seen])
        ray = ((box[:2] + box[2:]) / 2 - center) / focal
        sides = np.tile(box[2:] - box[:2], 2)
        found.append((box + random.normal(0, 0.04, 4) * sides, median,
                      np.append(ray, 1) * median, world[index].middle,
                      np.median(wall[rows.min():rows.max() + 1, columns.min():columns.max() + 1])))
    if not found:
        return None
    image = camera_noise(clean, edges, random, 2 * reach_m)
    millimetres = np.round(np.clip(image, 0, 65) * 1000).astype(np.uint16)
    return Scene(focal, center, size, DepthImage(millimetres, 0.001),
                 *(np.array(column) for column in zip(*found, strict=True)),
                 lidar_points(world, half, random, 30.0))


def touches_border(mask: np.ndarray) -> bool:
    """Return whether something reaches the border of the image."""
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def scenes(count: int, seed: int = 0, **options: object) -> Iterator[Scene]:
    """Yield scenes in which something is seen."""
    random = np.random.default_rng(seed)
    while count:
        scene = render(random, **options)
        if scene is not None:
            count -= 1
            yield scene


def mean_depths(scene: Scene) -> np.ndarray:
    """Return the mean of the valid depths of each box: the naive estimate."""
    return np.array([np.mean(values) if len(values) else np.nan
                     for values in (box_values(scene, box) for box in scene.boxes_xyxy)])


def center_medians(scene: Scene) -> np.ndarray:
    """Return the median of the valid depths in the middle third of each box."""
    found = []
    for box in scene.boxes_xyxy:
        middle, third = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 6
        values = box_values(scene, np.concatenate((middle - third, middle + third)))
        found.append(np.median(values) if len(values) else np.nan)
    return np.array(found)


def box_values(scene: Scene, box: np.ndarray) -> np.ndarray:
    """Return the valid depths in a box, metres."""
    left, top = np.maximum(np.floor(box[:2]), 0).astype(int)
    right, bottom = np.maximum(np.ceil(box[2:]), 0).astype(int)
    values = scene.depth.pixels[top:bottom, left:right].ravel() * scene.depth.unit_m
    return values[values > 0]
