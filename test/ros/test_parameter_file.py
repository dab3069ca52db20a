# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What ``benchmark`` writes for a budget is what the node runs with; nothing here is timed."""

from pathlib import Path

from lite_detector import load_model
from lite_detector.cli import main
from lite_detector.ros.conversions import bgr_to_image_msg
from lite_detector.ros.parameters import checked_settings
from lite_detector.ros.settings import PARAMETERS, Settings
from node_process import Client, START_TIMEOUT_S
import pytest
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tiny_models import square_image
from vision_msgs.msg import Detection2DArray
import yaml

WANTED = {'num_threads': 2, 'input_size': 192, 'runtime': 'ncnn', 'precision': 'fp32',
          'device': 'cpu'}


@pytest.fixture
def params_file(tiny_nanodet, tmp_path) -> Path:
    """Let a sweep of one setting, none of whose values is the node's default, write a file."""
    path = tmp_path / 'params.yaml'
    assert main(['benchmark', '--sweep', '--model', str(tiny_nanodet), '--size', '192',
                 '--threads', '2', '--precision', 'fp32', '--wait-policy', 'passive',
                 '--seconds', '0.01', '--budget-ms', '1e6', '--output', str(path)]) == 0
    return path


def test_parameter_file_is_what_the_settings_of_the_node_say(params_file, tiny_nanodet):
    values = yaml.safe_load(params_file.read_text())['/**/detector']['ros__parameters']
    assert values.keys() <= PARAMETERS.keys()
    defaults = {name: parameter.default for name, parameter in PARAMETERS.items()}
    settings = checked_settings({**defaults, **values}, Settings, PARAMETERS)
    options = settings.detector_options()
    assert {**WANTED, 'model': settings.model, 'input_size': 192} == values
    assert load_model(settings.model, **options).input_size == (192, 192)
    assert Path(settings.model) == tiny_nanodet


@pytest.fixture
def client():
    running = Client()
    yield running
    running.close()


@pytest.mark.parametrize('namespace', ['', '/drone'])
def test_node_runs_with_the_parameter_file(params_file, tiny_nanodet, client, namespace):
    client.start('detect_node', '--ros-args', '--params-file', str(params_file),
                 '-r', f'__ns:={namespace or "/"}')
    found = client.listen(f'{namespace}/detections', Detection2DArray)
    camera = client.node.create_publisher(Image, f'{namespace}/image', 1)
    asked = client.node.create_client(GetParameters, f'{namespace}/detector/get_parameters')
    client.spin_until(lambda: asked.service_is_ready() and camera.get_subscription_count()
                      and client.node.count_publishers(f'{namespace}/detections'),
                      START_TIMEOUT_S)
    answer = asked.call_async(GetParameters.Request(names=[*WANTED, 'model']))
    client.spin_until(answer.done)
    values = [value.integer_value if value.type == ParameterType.PARAMETER_INTEGER
              else value.string_value for value in answer.result().values]
    assert values == [*WANTED.values(), str(tiny_nanodet)]

    def sent_until_found() -> bool:
        header = Header(frame_id='lens')
        header.stamp.sec = 1
        camera.publish(bgr_to_image_msg(square_image(192, 192, 64, 128, (255, 0, 0)), header))
        client.spin_for(0.2)
        return bool(found)
    client.spin_until(sent_until_found, START_TIMEOUT_S)
    box, = found[0].detections
    # at 192 pixels the square is one cell, as it is in the picture
    assert (box.bbox.center.position.x, box.bbox.size_x) == pytest.approx((144, 32), abs=0.1)
