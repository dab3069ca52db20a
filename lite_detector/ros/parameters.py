# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""ROS parameters from a struct, which defines type, default, range, description and check."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints, TypeVar

from lite_detector.core.config import Spec
from lite_detector.core.errors import ConfigError
from lite_detector.ros.rclpy_workarounds import given_parameters
import msgspec
from msgspec import Meta
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node

S = TypeVar('S', bound=Spec)
LIVE = {'live': True}


def live_parameter(description: str, expected: str = '', **bounds: Any) -> Meta:
    """
    Describe the field of a parameter that may change while the node is active.

    :param description: Description for ``ros2 param describe``.
    :param expected: Allowed values in words; empty: ``bounds`` defines them.
    :param bounds: Keyword arguments of ``Meta``.
    """
    return Meta(description=description, extra={**LIVE, 'expected': expected}, **bounds)


@dataclass(frozen=True)
class ParameterRow:
    """One parameter of the table."""

    name: str
    kind: Any
    default: Any
    description: str
    live: bool
    minimum: float | None
    maximum: float | None
    multiple_of: int | None
    choices: tuple[str | int, ...]
    expected: str

    def range_text(self) -> str:
        """Return the allowed values as text."""
        if self.expected:
            return self.expected
        if self.choices:
            return 'one of ' + ', '.join(map(str, self.choices))
        if self.minimum is not None:
            steps = f', multiple of {self.multiple_of}' if self.multiple_of else ''
            return f'{self.minimum} .. {self.maximum}{steps}'
        return {tuple: 'list of strings', bool: 'true or false'}.get(type(self.default),
                                                                     'not empty')

    def ros_default(self) -> Any:
        """Return the default as a ROS value; an empty list has no type in ROS."""
        return self.default if self.default != () else ['']

    def descriptor(self, with_range: bool) -> ParameterDescriptor:
        """Return the descriptor for ROS tools; with the range, rclpy refuses values outside it."""
        descriptor = ParameterDescriptor(
            name=self.name, description=self.description, dynamic_typing=True,
            additional_constraints=self.range_text())
        if not with_range or self.minimum is None or self.maximum is None:
            return descriptor
        if isinstance(self.default, float):
            descriptor.floating_point_range = [FloatingPointRange(
                from_value=float(self.minimum), to_value=float(self.maximum))]
        else:
            descriptor.integer_range = [IntegerRange(
                from_value=int(self.minimum), to_value=int(self.maximum),
                step=self.multiple_of or 1)]
        return descriptor

    def check(self, value: Any) -> Any:
        """
        Convert a value to the type of the parameter.

        :raises ConfigError: with name, value and range if it is not allowed.
        """
        if isinstance(value, (list, tuple, array)) or (value is None and self.default == ()):
            value = [item for item in value or () if item != '']
        try:
            return msgspec.convert(value, self.kind)
        except msgspec.ValidationError:
            raise ConfigError(f'{self.name}: {value!r}; expected {self.range_text()}') from None


def parameter_table(kind: type[Spec]) -> dict[str, ParameterRow]:
    """
    Create the table of parameters of a struct.

    :param kind: Struct; every field has a default and ``Annotated[..., Meta(description=...)]``.
    :return: Name -> parameter, in the order of the fields.
    """
    hints = get_type_hints(kind, include_extras=True)
    table = {}
    struct: Any = msgspec.inspect.type_info(kind)
    for field in struct.fields:
        meta, info = field.type, field.type.type
        # msgspec sorts the values of a Literal; the documentation keeps the order of the code
        literal = isinstance(info, msgspec.inspect.LiteralType)
        choices = hints[field.name].__origin__.__args__ if literal else ()
        table[field.name] = ParameterRow(
            field.name, hints[field.name], field.default,
            meta.extra_json_schema['description'], bool((meta.extra or {}).get('live')),
            getattr(info, 'ge', None), getattr(info, 'le', None),
            getattr(info, 'multiple_of', None), choices, (meta.extra or {}).get('expected', ''))
    return table


def declare_parameters(node: Node, table: Mapping[str, ParameterRow]) -> None:
    """
    Declare every parameter of a table.

    Typing is dynamic, so that 1 is valid for 1.0, and an empty list for a list of names. This
    module checks the values. An invalid value from the command line or a file stays in the
    parameter, and the node cannot be configured until it is corrected.
    """
    for parameter in table.values():
        default = parameter.ros_default()
        try:
            node.declare_parameter(parameter.name, default, parameter.descriptor(True))
        except InvalidParameterValueException:
            node.declare_parameter(parameter.name, default, parameter.descriptor(False))


def unknown_parameters(node: Node) -> list[str]:
    """Return the given names that the node has not declared; call it after all declarations."""
    return sorted(name for name in given_parameters(node)
                  if not node.has_parameter(name) and not name.startswith('qos_overrides.'))


def current_settings(node: Node, kind: type[S], table: Mapping[str, ParameterRow]) -> S:
    """
    Read the current parameters of the node.

    :param node: Node that has declared the parameters.
    :param kind: Struct of the table.
    :param table: Table of parameters.
    :raises ConfigError: with name, value and range of the first invalid parameter.
    """
    return checked_settings({name: node.get_parameter(name).value for name in table}, kind, table)


def checked_settings(values: Mapping[str, Any], kind: type[S],
                     table: Mapping[str, ParameterRow]) -> S:
    """
    Check a complete set of parameter values.

    :raises ConfigError: with name, value and range of the first invalid parameter.
    """
    return kind(**{name: parameter.check(values[name]) for name, parameter in table.items()})
