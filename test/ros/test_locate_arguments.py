# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Which topics ``detect.launch.py`` gives to the locate node of each camera."""

from pathlib import Path
import runpy

import pytest

LAUNCH = Path(__file__).resolve().parents[2] / 'launch' / 'detect.launch.py'


@pytest.fixture(scope='module')
def locate_topics():
    """Return a function: camera, cameras and launch arguments to name -> topic."""
    function = runpy.run_path(str(LAUNCH))['locate_topics']

    def topics(camera: str, *cameras: str, **arguments: str) -> dict[str, str]:
        return dict(function(lambda name: arguments.get(name, ''), camera, list(cameras)))
    return topics


def test_nothing_given_leaves_the_names(locate_topics):
    assert locate_topics('') == {}
    assert locate_topics('front', 'front', 'rear') == {}


def test_calibration_is_beside_the_image(locate_topics):
    assert locate_topics('', image='/camera/color/image_raw', depth='/aligned/image') == {
        'image': '/camera/color/image_raw', 'camera_info': '/camera/color/camera_info',
        'depth': '/aligned/image'}
    assert locate_topics('', image='image_raw', camera_info='/info') == {
        'image': 'image_raw', 'camera_info': '/info'}


def test_several_cameras_have_a_topic_each(locate_topics):
    assert locate_topics('rear', 'front', 'rear', image='/a/image,/b/image',
                         depth='/a/depth, /b/depth') == {
        'image': '/b/image', 'camera_info': '/b/camera_info', 'depth': '/b/depth'}


def test_name_below_each_camera_is_in_its_namespace(locate_topics):
    assert locate_topics('front', 'front', 'rear', image='color/image_raw', points='cloud') == {
        'image': 'color/image_raw', 'camera_info': 'color/camera_info', 'points': 'cloud'}


def test_topic_beside_the_cameras_is_refused(locate_topics):
    with pytest.raises(RuntimeError, match='expected an absolute topic or a topic in rear/'):
        locate_topics('rear', 'front', 'rear', image='front/image,other/image')
    with pytest.raises(RuntimeError, match='depth: 3 topics for 2 cameras'):
        locate_topics('rear', 'front', 'rear', depth='/a,/b,/c')
