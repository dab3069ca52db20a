# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Backbones that are written out: what a mistake is answered with."""

from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError
from lite_detector.core.structure import StructureSpec
import pytest
from tiny_search import KINDS, tiny_structure


def stage(**changes: object) -> dict:
    return {'block': 'mobile', 'channels': 16, 'blocks': 1, 'inner': 32, **changes}


@pytest.mark.parametrize('block', KINDS)
def test_structure_ends_at_stride_32(block):
    structure = tiny_structure(block)
    assert structure.strides[-1] == 32
    assert [structure.strides[tap] for tap in structure.taps] == [8, 16, 32]


def test_structure_says_what_it_is():
    assert str(tiny_structure('mobile')) == 'mobile 8-16x2-16x2-16x2-16x2'


@pytest.mark.parametrize(('stages', 'words'), [
    ([stage()] * 3, 'last stride 16; expected 32: 4 stages with stride 2'),
    ([stage(stride=1)] * 4, 'last stride 2; expected 32'),
    ([stage()], 'length >= 2'),
    ([stage(inner=None)] * 4, r'stages\[0\].*block mobile needs inner'),
    ([stage(block='shuffle')] * 4, 'block shuffle has no inner'),
    ([stage(block='residual', kernel=5)] * 4, 'block residual: kernel 5; expected 3'),
    ([stage(block='csp', stride=1)] * 4, 'block csp: stride 1; expected 2'),
    ([stage(channels=17)] * 4, 'multiple of 2'),
    ([stage(kernel=7)] * 4, 'kernel'),
    ([stage(width=7)] * 4, 'width'),
    ([stage()] * 4 + [stage(block='shuffle', inner=None, stride=1, channels=24)],
     'shuffle with stride 1 has 24 channels; expected 16'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_structure_with_a_mistake_is_refused(stages, words):
    with pytest.raises(ConfigError, match=words):
        from_mapping({'stem': 8, 'stages': stages}, StructureSpec, 'test')
