# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
GPUs that ncnn finds through Vulkan.

Properties of ncnn 1.0.20261020 that explain the code here and in ncnn_backend.py:

* ``use_vulkan_compute`` and ``set_vulkan_device`` after ``load_param`` crash the process, so they
  are set before it.
* Without a device, or for an invalid index, ncnn uses the CPU or its default device without a
  message. So the index is checked before, and the option is read back afterwards.
* ``destroy_gpu_instance`` with a live net and allocators created in Python crash the process.
  Neither is used: ncnn destroys the instance itself, and an extractor has its own allocators.
* A process that is forked after use of the GPU hangs, and some drivers crash when devices are
  listed. So devices.py first lists them in a spawned process.
"""

from __future__ import annotations

from collections.abc import Mapping
import ctypes
import os
from pathlib import Path

from lite_detector.core.errors import ModelError
import ncnn

SOFTWARE = 3
"""Type of a Vulkan device that is implemented on the CPU, such as llvmpipe."""
SOFTWARE_VARIABLE = 'LITE_DETECTOR_SOFTWARE_GPU'
"""Set to 1 by tests only: software drivers are 25 to 40 times slower than ncnn on the CPU."""
DRIVER_FOLDERS = ('/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d')
DRIVER_VARIABLES = ('VK_DRIVER_FILES', 'VK_ICD_FILENAMES')
LIBRARY = 'libvulkan.so.1'


def find_gpu(device: str) -> tuple[int, str]:
    """
    Return index and name of a Vulkan device.

    :param device: Device name: gpu (the first hardware device) or gpu:N.
    :raises ModelError: if the device is absent; the message has the reason and what to do.
    """
    gpus = _gpus()
    if not gpus:
        raise ModelError(f'device {device}: {_why_none()}')
    usable = {index: gpu.device_name() for index, gpu in gpus.items()
              if gpu.type() != SOFTWARE or os.environ.get(SOFTWARE_VARIABLE) == '1'}
    listed = ', '.join(f'gpu:{index} is {gpu.device_name()}' for index, gpu in gpus.items())
    if not usable:
        raise ModelError(f'device {device}: only a software driver was found ({listed}), slower '
                         f'than the CPU; install the Vulkan driver of the GPU {_container_hint()}')
    index = int(device.partition(':')[2] or min(usable))
    if index not in gpus:
        raise ModelError(f'device {device}: no such device; {listed}')
    if index not in usable:
        raise ModelError(f'device {device}: {gpus[index].device_name()} is a software driver, '
                         f'slower than the CPU; {listed}')
    return index, usable[index]


def _gpus() -> Mapping[int, ncnn.GpuInfo]:
    return {index: ncnn.get_gpu_info(index) for index in range(ncnn.get_gpu_count())}


def _why_none() -> str:
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return (f'{LIBRARY} is not installed; install it (Debian, Ubuntu: apt install '
                'libvulkan1) and the Vulkan driver of the GPU')
    drivers = driver_files()
    if not drivers:
        where = ', '.join(DRIVER_FOLDERS)
        return f'no Vulkan driver (.json file) in {where}; install the driver of the GPU ' + (
            _container_hint())
    return (f'the Vulkan drivers find no GPU ({", ".join(path.name for path in drivers)}); check '
            'with `vulkaninfo --summary` and that this user may open /dev/dri/renderD*')


def driver_files() -> list[Path]:
    """Return the driver manifest files of Vulkan."""
    named = [os.environ[name] for name in DRIVER_VARIABLES if os.environ.get(name)]
    if named:
        paths = [Path(path) for path in named[0].split(os.pathsep)]
        return [path for path in paths if path.is_file()]
    return [path for folder in DRIVER_FOLDERS for path in sorted(Path(folder).glob('*.json'))]


def _container_hint() -> str:
    return '(in a container, also mount its ICD file such as nvidia_icd.json)'
