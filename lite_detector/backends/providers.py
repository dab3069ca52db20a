# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The execution providers of ONNX Runtime.

ONNX Runtime computes on the CPU without an error where a provider is not in the wheel, lacks a
library or a device, or gets a wrong option (seen with 1.24.1 and 1.32), so the nodes that each
provider took are read back. TensorRT and CUDA were not run on real hardware.
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
"""Device -> provider; the fastest of a GPU first."""
OF_GPUS = ('tensorrt', 'cuda', 'coreml')
"""What device gpu can mean, in this order."""
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

    :param device: gpu, or a name; with ``:N`` for a device of several.
    :raises ModelError: if the wheel does not have it.
    """
    name, _, index = device.partition(':')
    names = OF_GPUS if name == 'gpu' else (name,)
    found = available(names)
    if not found:
        has = ', '.join(onnxruntime.get_available_providers())
        wanted = ' or '.join(PROVIDERS[each] for each in names)
        raise ModelError(f'device {device}: onnxruntime {onnxruntime.__version__} has no {wanted} '
                         f'(it has {has}); install {PACKAGES[names[0]]} in its place'
                         + (f', {JETSON}' if names[0] in ('tensorrt', 'cuda') else ''))
    return found[0], int(index or 0)


def provider_options(name: str, index: int, path: Path, precision: str, num_threads: int,
                     shapes: InputShapes, input_name: str) -> dict[str, str]:
    """
    Return the options of a provider.

    :param name: a key of ``PROVIDERS``.
    :param index: of the device.
    :param path: of the network.
    :param precision: auto (fp16 where the provider gains by it), fp32, or int8 for a QDQ file.
    :param num_threads: threads for one inference, where that is on a CPU.
    :param shapes: sizes that the input may have.
    :param input_name: of the network.
    :raises ModelError: if the folder for engines cannot be written.
    """
    if name == 'cuda':
        # the default search times every algorithm again for each new shape, in flight
        return {'device_id': str(index), 'cudnn_conv_algo_search': 'HEURISTIC',
                'use_tf32': str(int(precision == 'auto'))}
    if name == 'coreml':
        return {'ModelFormat': 'MLProgram', 'MLComputeUnits': 'ALL'}
    if name == 'openvino':
        return {'device_type': 'CPU', 'precision': 'FP32', 'num_of_threads': str(num_threads)}
    engines = str(engine_folder(path, index, precision, shapes))
    # An input outside the profile builds an engine again: minutes, in flight.
    profile = {f'trt_profile_{bound}_shapes': f'{input_name}:1x3x{size.height}x{size.width}'
               for bound, size in zip(('min', 'opt', 'max'), shapes, strict=True)}
    return {'device_id': str(index), 'trt_fp16_enable': str(int(precision != 'fp32')),
            'trt_int8_enable': str(int(precision == 'int8')),
            'trt_engine_cache_enable': '1', 'trt_engine_cache_path': engines,
            'trt_timing_cache_enable': '1', 'trt_timing_cache_path': engines, **profile}


def engine_folder(path: Path, index: int, precision: str, shapes: InputShapes) -> Path:
    """
    Make and return the folder of the engines and the timing cache of one network on one GPU.

    Its name holds all that an engine depends on, so an engine of another version, GPU or network
    is never read.

    :raises ModelError: if it cannot be written.
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
        raise ModelError(f'{folder}: cannot write engines: {error.strerror}; point '
                         'XDG_CACHE_HOME to a folder that is writable') from None
    (folder / 'key.txt').write_text(key + '\n', encoding='utf-8')
    return folder


def tensorrt_version() -> str:
    """Return the version of the TensorRT library that is installed; empty: none is found."""
    for major in (10, 11, 8):
        try:
            return str(ctypes.CDLL(f'libnvinfer.so.{major}').getInferLibVersion())
        except (OSError, AttributeError):
            continue
    return ''


def gpu_name(index: int, root: Path = Path('/')) -> str:
    """Return the name of an NVIDIA GPU, that of the board on a Jetson; empty: unknown."""
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
    """Ask a session to report which provider took which node; before 1.24, to refuse the CPU."""
    if hasattr(onnxruntime.InferenceSession, 'get_provider_graph_assignment_info'):
        options.add_session_config_entry(RECORD, '1')
    else:
        options.add_session_config_entry(NO_FALLBACK, '1')


def check_assignment(session: Any, device: str, name: str) -> None:
    """
    Refuse a session whose convolutions are not all computed by the provider.

    :param session: made with the options of :func:`record_assignment`.
    :param device: as the user named it, for the message.
    :param name: a key of ``PROVIDERS``.
    :raises ModelError: with what stayed on the CPU.
    """
    provider = PROVIDERS[name]
    if provider not in session.get_providers():
        raise ModelError(f'device {device}: {provider} cannot start, ONNX Runtime fell back to '
                         f'the CPU; {_missing(name)}')
    if not hasattr(session, 'get_provider_graph_assignment_info'):
        return  # the session would have been refused
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
                        'this wheel wants, and that nvidia-smi shows the GPU',
            'cuda': 'check that CUDA and cuDNN have the versions that this wheel wants, and that '
                    'nvidia-smi shows the GPU',
            'coreml': 'use device cpu',
            'openvino': 'use device cpu, or another version of onnxruntime-openvino'}[name]


def with_engines(reason: str, options: Mapping[str, str]) -> str:
    """Return why a session failed; where engines are kept, also where they lie."""
    folder = options.get('trt_engine_cache_path')
    return f'{reason}; if an engine is damaged, delete {folder}' if folder else reason
