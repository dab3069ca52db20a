# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""ROS parameters from a struct: one place for type, default, range, description and check."""

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


def live_parameter(description: str, wanted: str = '', **bounds: Any) -> Meta:
    """
    Describe a field whose parameter may change while the node is active.

    :param description: for people.
    :param wanted: what values are allowed, where the bounds do not tell.
    :param bounds: as of ``Meta``.
    """
    return Meta(description=description, extra={**LIVE, 'wanted': wanted}, **bounds)


@dataclass(frozen=True)
class ParameterRow:
    """One row of the table."""

    name: str
    kind: Any
    default: Any
    description: str
    live: bool
    minimum: float | None
    maximum: float | None
    multiple_of: int | None
    choices: tuple[str | int, ...]
    wanted: str

    def range_text(self) -> str:
        """Return what values are allowed, as people read it."""
        if self.wanted:
            return self.wanted
        if self.choices:
            return 'one of ' + ', '.join(map(str, self.choices))
        if self.minimum is not None:
            steps = f', multiple of {self.multiple_of}' if self.multiple_of else ''
            return f'{self.minimum} .. {self.maximum}{steps}'
        return {tuple: 'list of strings', bool: 'true or false'}.get(type(self.default),
                                                                     'not empty')

    def ros_default(self) -> Any:
        """Return the default as ROS can carry it: an empty list has no type there."""
        return self.default if self.default != () else ['']

    def descriptor(self, with_range: bool) -> ParameterDescriptor:
        """Return what ROS tools show; with the range, rclpy itself refuses what is outside."""
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
        Return the value in its own type.

        :raises ConfigError: with name, value and range if it is not allowed.
        """
        if isinstance(value, (list, tuple, array)) or (value is None and self.default == ()):
            value = [item for item in value or () if item != '']
        try:
            return msgspec.convert(value, self.kind)
        except msgspec.ValidationError:
            raise ConfigError(f'{self.name}: got {value!r}, wanted '
                              f'{self.range_text()}') from None


def parameter_table(kind: type[Spec]) -> dict[str, ParameterRow]:
    """
    Read the table of parameters off a struct.

    :param kind: every field has a default and ``Annotated[..., Meta(description=...)]``.
    :return: by name, in the order of the fields.
    """
    hints = get_type_hints(kind, include_extras=True)
    table = {}
    struct: Any = msgspec.inspect.type_info(kind)
    for field in struct.fields:
        meta, info = field.type, field.type.type
        # msgspec sorts the values of a Literal; people want the order they were written in
        literal = isinstance(info, msgspec.inspect.LiteralType)
        choices = hints[field.name].__origin__.__args__ if literal else ()
        table[field.name] = ParameterRow(
            field.name, hints[field.name], field.default,
            meta.extra_json_schema['description'], bool((meta.extra or {}).get('live')),
            getattr(info, 'ge', None), getattr(info, 'le', None),
            getattr(info, 'multiple_of', None), choices, (meta.extra or {}).get('wanted', ''))
    return table


def declare_parameters(node: Node, table: Mapping[str, ParameterRow]) -> None:
    """
    Declare every parameter of a table.

    Typing is dynamic, so that 1 passes where 1.0 is meant and an empty list where names are; the
    check is ours. A wrong value from the command line or a file stays visible in the parameter
    and keeps the node from being configured until it is corrected.
    """
    for parameter in table.values():
        default = parameter.ros_default()
        try:
            node.declare_parameter(parameter.name, default, parameter.descriptor(True))
        except InvalidParameterValueException:
            node.declare_parameter(parameter.name, default, parameter.descriptor(False))


def unknown_parameters(node: Node) -> list[str]:
    """Return the names from the command line or a file that the node, now whole, has not."""
    return sorted(name for name in given_parameters(node)
                  if not node.has_parameter(name) and not name.startswith('qos_overrides.'))


def current_settings(node: Node, kind: type[S], table: Mapping[str, ParameterRow]) -> S:
    """
    Read what the node's parameters say now.

    :param kind: the struct of the table.
    :raises ConfigError: with name, value and range of the first that is wrong.
    """
    return checked_settings({name: node.get_parameter(name).value for name in table}, kind, table)


def checked_settings(values: Mapping[str, Any], kind: type[S],
                     table: Mapping[str, ParameterRow]) -> S:
    """
    Check a whole set of parameter values.

    :raises ConfigError: with name, value and range of the first that is wrong.
    """
    return kind(**{name: parameter.check(values[name]) for name, parameter in table.items()})
