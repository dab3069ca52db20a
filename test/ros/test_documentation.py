# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""docs/reference/node.md and config/detect.yaml agree with the code."""

from pathlib import Path
import time

from lite_detector.ros.parameters import checked_settings
from lite_detector.ros.settings import PARAMETERS, Settings
from ros_graph import running_graph, TIMEOUT_S
from tiny_models import write_tiny_nanodet
import yaml

ROOT = Path(__file__).resolve().parents[2]


def table_after(heading: str, page: str = 'reference/node.md') -> list[list[str]]:
    """Return the cells of the first table below a heading of a page of docs/."""
    section = (ROOT / 'docs' / page).read_text().split(f'\n## {heading}\n')[1]
    lines = section.split('\n## ')[0].splitlines()
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in lines if line.startswith('|')]
    return rows[2:]


def test_detect_yaml_holds_every_parameter_at_its_default():
    data = yaml.safe_load((ROOT / 'config' / 'detect.yaml').read_text())
    values = data['/**']['ros__parameters']
    assert list(values) == list(PARAMETERS)
    assert checked_settings(values, Settings, PARAMETERS) == Settings()


def test_detect_yaml_marks_the_live_parameters():
    lines = (ROOT / 'config' / 'detect.yaml').read_text().splitlines()
    for name, parameter in PARAMETERS.items():
        line = next(line for line in lines if line.startswith(f'    {name}:'))
        assert ('# live;' in line) == parameter.live, line


def endpoints(node) -> set[tuple[str, str, str]]:
    """Return name, type and direction of the node's own topics, as the graph knows them."""
    of_every_node = ('/rosout', '/parameter_events', '/detector/transition_event')
    return {(topic if topic == '/diagnostics' else topic[1:], kind, direction)
            for direction, names in (
                ('out', node.get_publisher_names_and_types_by_node('detector', '/')),
                ('in', node.get_subscriber_names_and_types_by_node('detector', '/')))
            for topic, kinds in names if topic not in of_every_node for kind in kinds}


def settled_endpoints(graph, wanted: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """Wait for the expected endpoints, because a new one appears in the graph with a delay."""
    end = time.monotonic() + TIMEOUT_S
    while (found := endpoints(graph.detector)) != wanted and time.monotonic() < end:
        graph.spin_for(0.05)
    return found


def test_node_md_topics_and_services_equal_the_graph(tmp_path):
    documented = {(row[0].strip('`'), row[1].strip('`'), row[2])
                  for row in table_after('Topics')}
    model = str(write_tiny_nanodet(tmp_path / 'model'))
    inputs = {entry for entry in documented if entry[2] == 'in'}
    for transport, topic in (('raw', 'image'), ('compressed', 'image/compressed')):
        wanted = {entry for entry in documented if entry not in inputs or entry[0] == topic}
        with running_graph(model=model, transport=transport) as graph:
            assert settled_endpoints(graph, wanted) == wanted
            services = graph.detector.get_service_names_and_types_by_node('detector', '/')
            assert {(name[1:], kind) for name, kinds in services for kind in kinds
                    if not name.startswith('/detector/')} == {
                (row[0].strip('`'), row[1].strip('`')) for row in table_after('Services')}


def test_readme_and_docs_name_only_files_that_exist():
    for page in (ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')):
        text = page.read_text()
        for link in (part.split(')')[0] for part in text.split('](')[1:]):
            if not link.startswith(('http', '#', '../../actions/')):
                target = page.parent / link.split('#')[0]
                assert target.exists(), f'{page.name} links to {link}'
