# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Execution providers of ONNX Runtime.

ONNX Runtime falls back to the CPU without an error if a provider is not in the wheel, lacks a
library or a device, or gets a wrong option (observed with 1.24.1 and 1.32). So the assignment of
nodes to providers is checked. TensorRT and CUDA have not been tested on real hardware.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
import ctypes
import hashlib
from pathlib import Path
from typing import Any

from lite_detector.backends.shapes import InputShapes
from lite_detector.core.cache_folder import cache_folder
from lite_detector.core.errors import ModelError
import onnxruntime

PROVIDERS = {'tensorrt': 'TensorrtExecutionProvider', 'cuda': 'CUDAExecutionProvider',
             'coreml': 'CoreMLExecutionProvider', 'openvino': 'OpenVINOExecutionProvider'}
"""Device -> provider, fastest GPU provider first."""
OF_GPUS = ('tensorrt', 'cuda', 'coreml')
"""Providers for the device gpu, in order of preference."""
PACKAGES = {'tensorrt': 'onnxruntime-gpu', 'cuda': 'onnxruntime-gpu', 'coreml': 'onnxruntime',
            'openvino': 'onnxruntime-openvino'}
JETSON = "on a Jetson the wheel of NVIDIA's Jetson package index"
RECORD = 'session.record_ep_graph_assignment_info'
NO_FALLBACK = 'session.disable_cpu_ep_fallback'


def available(names: tuple[str, ...] = tuple(PROVIDERS)) -> list[str]:
    """Return the devices whose provider is in the installed wheel."""
    built_in = onnxruntime.get_available_providers()
    return [name for name in names if PROVIDERS[name] in built_in]


def resolve(device: str) -> tuple[str, int]:
    """
    Return the name of a provider, a key of ``PROVIDERS``, and the index of its device.

    :param device: Device name: gpu or a provider, optionally with ``:N``.
    :raises ModelError: if the installed wheel lacks the provider.
    """
    name, _, index = device.partition(':')
    names = OF_GPUS if name == 'gpu' else (name,)
    found = available(names)
    if not found:
        has = ', '.join(onnxruntime.get_available_providers())
        wanted = ' or '.join(PROVIDERS[each] for each in names)
        raise ModelError(f'device {device}: onnxruntime {onnxruntime.__version__} has no {wanted} '
                         f'(it has {has}); install {PACKAGES[names[0]]} instead'
                         + (f', {JETSON}' if names[0] in ('tensorrt', 'cuda') else ''))
    return found[0], int(index or 0)


def provider_options(name: str, index: int, path: Path, precision: str, num_threads: int,
                     shapes: InputShapes, input_name: str) -> dict[str, str]:
    """
    Return the options of a provider.

    :param name: Provider, a key of ``PROVIDERS``.
    :param index: Index of the device.
    :param path: Path of the network.
    :param precision: auto (fp16 if the provider is faster with it), fp32, or int8 for a QDQ file.
    :param num_threads: Number of threads per inference, for providers on the CPU.
    :param shapes: Possible input sizes.
    :param input_name: Name of the network input.
    :raises ModelError: if the folder for engines is not writable.
    """
    if name == 'cuda':
        # the default searches all algorithms again for each new shape, at run time
        return {'device_id': str(index), 'cudnn_conv_algo_search': 'HEURISTIC',
                'use_tf32': str(int(precision == 'auto'))}
    if name == 'coreml':
        return {'ModelFormat': 'MLProgram', 'MLComputeUnits': 'ALL'}
    if name == 'openvino':
        return {'device_type': 'CPU', 'precision': 'FP32', 'num_of_threads': str(num_threads)}
    engines = str(engine_folder(path, index, precision, shapes))
    # An input outside of the profile triggers a new engine build, which takes minutes.
    profile = {f'trt_profile_{bound}_shapes': f'{input_name}:1x3x{size.height}x{size.width}'
               for bound, size in zip(('min', 'opt', 'max'), shapes, strict=True)}
    return {'device_id': str(index), 'trt_fp16_enable': str(int(precision != 'fp32')),
            'trt_int8_enable': str(int(precision == 'int8')),
            'trt_engine_cache_enable': '1', 'trt_engine_cache_path': engines,
            'trt_timing_cache_enable': '1', 'trt_timing_cache_path': engines, **profile}


def engine_folder(path: Path, index: int, precision: str, shapes: InputShapes) -> Path:
    """
    Create and return the folder for engines and timing cache of one network on one GPU.

    Its name is a hash of everything that an engine depends on, so engines of other versions, GPUs
    or networks are never used.

    :param path: Path of the network.
    :param index: Index of the GPU.
    :param precision: Precision of the engine.
    :param shapes: Possible input sizes.
    :raises ModelError: if the folder is not writable.
    """
    key = repr((onnxruntime.__version__, tensorrt_version(), gpu_name(index), precision, shapes,
                hashlib.sha256(path.read_bytes()).hexdigest()))
    folder = cache_folder('engines') / hashlib.sha256(key.encode()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / '.writable'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ModelError(f'{folder}: cannot write engines: {error.strerror}; set '
                         'XDG_CACHE_HOME to a writable folder') from None
    (folder / 'key.txt').write_text(key + '\n', encoding='utf-8')
    return folder


def tensorrt_version() -> str:
    """Return the version of the installed TensorRT library; empty: not found."""
    for major in (10, 11, 8):
        try:
            return str(ctypes.CDLL(f'libnvinfer.so.{major}').getInferLibVersion())
        except (OSError, AttributeError):
            continue
    return ''


def gpu_name(index: int, root: Path = Path('/')) -> str:
    """Return the name of an NVIDIA GPU, or of the board on a Jetson; empty: unknown."""
    cards = sorted(root.glob('proc/driver/nvidia/gpus/*/information'))
    try:
        if index < len(cards):
            lines = cards[index].read_text(encoding='utf-8').splitlines()
            return next(line.partition(':')[2].strip() for line in lines
                        if line.startswith('Model'))
        return (root / 'proc/device-tree/model').read_text(encoding='utf-8').rstrip('\0\n')
    except (OSError, StopIteration, UnicodeDecodeError):
        return ''


def record_assignment(options: onnxruntime.SessionOptions) -> None:
    """Configure a session to report the provider of each node; before 1.24, to refuse the CPU."""
    if hasattr(onnxruntime.InferenceSession, 'get_provider_graph_assignment_info'):
        options.add_session_config_entry(RECORD, '1')
    else:
        options.add_session_config_entry(NO_FALLBACK, '1')


def check_assignment(session: Any, device: str, name: str) -> None:
    """
    Raise an error if not all convolutions of a session run on the provider.

    :param session: Session with the options of :func:`record_assignment`.
    :param device: Device name as given by the user, for messages.
    :param name: Provider, a key of ``PROVIDERS``.
    :raises ModelError: if convolutions or all nodes are on the CPU.
    """
    provider = PROVIDERS[name]
    if provider not in session.get_providers():
        raise ModelError(f'device {device}: {provider} cannot start, ONNX Runtime fell back to '
                         f'the CPU; {_missing(name)}')
    if not hasattr(session, 'get_provider_graph_assignment_info'):
        return  # such a session is refused when it is created
    nodes = Counter((graph.ep_name, node.op_type)
                    for graph in session.get_provider_graph_assignment_info()
                    for node in graph.get_nodes())
    elsewhere = Counter({kind: count for (taker, kind), count in nodes.items()
                         if taker != provider})
    if elsewhere['Conv'] or elsewhere.total() == nodes.total():
        kinds = ', '.join(f'{count} {kind}' for kind, count in elsewhere.most_common(4))
        raise ModelError(f'device {device}: {elsewhere.total()} of {nodes.total()} nodes '
                         f'stayed on the CPU ({kinds}); {_missing(name)}')


def _missing(name: str) -> str:
    return {'tensorrt': 'check that TensorRT (libnvinfer), CUDA and cuDNN have the versions that '
                        'this wheel requires, and that nvidia-smi shows the GPU',
            'cuda': 'check that CUDA and cuDNN have the versions that this wheel requires, and '
                    'that nvidia-smi shows the GPU',
            'coreml': 'use device cpu',
            'openvino': 'use device cpu, or another version of onnxruntime-openvino'}[name]


def with_engines(reason: str, options: Mapping[str, str]) -> str:
    """Return the reason of a failure, with the folder of the engines if there is one."""
    folder = options.get('trt_engine_cache_path')
    return f'{reason}; if an engine is damaged, delete {folder}' if folder else reason
