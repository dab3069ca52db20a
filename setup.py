# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

PACKAGE = 'lite_detector'
COMMANDS = (
    'detect_node',
    'locate_node',
    'detect',
    'evaluate',
    'benchmark',
    'compare',
    'profile_latency',
    'label',
    'dataset_from_bag',
    'replay',
    'fetch_model',
    'train',
    'check_data',
    'import_weights',
    'search',
    'export',
    'quantize',
    'camera_replay',
    'frame_saver',
)
SHARED_FILES = (
    'launch/*.launch.py',
    'config/**/*.yaml',
    'config/*.xml',
    'config/*.rviz',
    'models/README.md',
    'models/*/card.yaml',
    'models/*/*.param',
    'models/*/*.bin',
    'models/*/*.onnx',
    'models/*/README.md',
)


def shared_files() -> list[tuple[str, list[str]]]:
    """Every folder under share/lite_detector with the files that go there."""
    folders: dict[Path, list[str]] = {}
    for pattern in SHARED_FILES:
        for path in sorted(Path().glob(pattern)):
            folders.setdefault(path.parent, []).append(str(path))
    return [(f'share/{PACKAGE}/{folder}', paths) for folder, paths in folders.items()]


def requirements(name: str) -> list[str]:
    """Read requirements/<name>.txt, which pip reads as well, into an extra."""
    lines = Path(f'requirements/{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in lines if line and not line.startswith('#')]


setup(
    name=PACKAGE,
    version=ElementTree.parse('package.xml').findtext('version'),
    description='Lightweight object detection for drones and robots on ROS 2',
    author='lite_detector authors',
    maintainer='lite_detector authors',
    maintainer_email='maintainers@lite-detector.dev',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        *shared_files(),
    ],
    install_requires=['setuptools'],
    extras_require={
        'serve': requirements('serve'),
        'train': [*requirements('serve'), *requirements('train')],
        'bags': requirements('bags'),
        'test': requirements('test'),
    },
    zip_safe=True,
    # Every command is the same function, which reads the name of the script.
    entry_points={'console_scripts': [f'{name} = {PACKAGE}.cli:script' for name in COMMANDS]},
)
