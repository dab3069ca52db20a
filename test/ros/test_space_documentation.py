# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""docs/reference/locate_node.md and config/locate.yaml agree with the code."""

import time

from lite_detector.ros.locate_settings import LOCATE_PARAMETERS, LocateSettings
from lite_detector.ros.parameters import checked_settings
import pytest
from ros_graph import TIMEOUT_S
from space_graph import info_of, running_space
from test_documentation import ROOT, table_after
import yaml

PAGE = 'reference/locate_node.md'


def test_locate_yaml_holds_every_parameter_at_its_default():
    text = (ROOT / 'config' / 'locate.yaml').read_text()
    values = yaml.safe_load(text)['/**']['ros__parameters']
    assert list(values) == list(LOCATE_PARAMETERS)
    assert checked_settings(values, LocateSettings, LOCATE_PARAMETERS) == LocateSettings()
    for name, parameter in LOCATE_PARAMETERS.items():
        line = next(line for line in text.splitlines() if line.startswith(f'    {name}:'))
        assert ('# live;' in line) == parameter.live, line


@pytest.mark.parametrize('range_from', ['depth', 'points', 'size'])
def test_space_md_topics_equal_the_graph(range_from):
    documented = {(row[0].strip('`'), row[1].strip('`'), row[2])
                  for row in table_after('Topics', PAGE)}
    other = {'depth', 'points'} - {range_from}
    wanted = {entry for entry in documented if entry[0] not in other}
    of_every_node = ('/rosout', '/parameter_events', '/locate/transition_event')
    with running_space(range_from=range_from, target_frame='map') as graph:
        graph.send('camera_info', info_of(1.0))

        def endpoints() -> set[tuple[str, str, str]]:
            node = graph.locate
            return {(topic if topic in ('/diagnostics', '/tf', '/tf_static') else topic[1:], kind,
                     direction)
                    for direction, names in (
                        ('out', node.get_publisher_names_and_types_by_node('locate', '/')),
                        ('in', node.get_subscriber_names_and_types_by_node('locate', '/')))
                    for topic, kinds in names if topic not in of_every_node for kind in kinds}
        end = time.monotonic() + TIMEOUT_S
        while (found := endpoints()) != wanted and time.monotonic() < end:
            graph.spin_for(0.05)
        assert found == wanted
