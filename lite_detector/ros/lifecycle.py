# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Base class of the lifecycle nodes: states, parameters and autostart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from lite_detector.core.config import Spec
from lite_detector.core.errors import ConfigError, LiteDetectorError
from lite_detector.ros.parameters import (
    checked_settings,
    current_settings,
    declare_parameters,
    ParameterRow,
    unknown_parameters,
)
from lite_detector.ros.rclpy_workarounds import guard_transitions
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.timer import Timer

S = TypeVar('S', bound=Spec)


class ManagedNode(LifecycleNode, Generic[S]):
    """
    A lifecycle node whose parameters are the fields of a struct.

    A subclass implements ``_configure``, ``_change``, ``stop`` and ``_release``.

    :param name: Name of the node.
    :param kind: Struct of the parameters.
    :param table: Table of its parameters, including ``autostart``.
    :param node_options: Keyword arguments of ``LifecycleNode``.
    """

    def __init__(self, name: str, kind: type[S], table: Mapping[str, ParameterRow],
                 **node_options: Any) -> None:
        super().__init__(name, **node_options)
        self._kind, self._table = kind, table
        declare_parameters(self, table)
        self._settings: S | None = None
        self._state, self._problem = 'unconfigured', ''
        self._retry: Timer | None = None
        self.add_on_set_parameters_callback(self._on_parameters)
        guard_transitions(self, lambda: self._state)

    @property
    def settings(self) -> S:
        """Return the current parameters of a configured node."""
        assert self._settings is not None, 'the node is configured'
        return self._settings

    def warn_of_unknown_parameters(self, page: str) -> None:
        """
        Log the given parameters that the node has not declared; call it after all declarations.

        :param page: Documentation page of the parameters.
        """
        for name in unknown_parameters(self):
            self.get_logger().warning(f'unknown parameter {name!r}; see {page}')

    # lifecycle

    def autostart(self) -> None:
        """Configure and activate, if parameter ``autostart`` is true."""
        if self.get_parameter('autostart').value is False:  # on_configure refuses other types
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and set up; after an error the node stays unconfigured."""
        try:
            self._settings = current_settings(self, self._kind, self._table)
            self._configure(self._settings)
        except Exception as error:  # rclpy would not log the reason
            self._problem = reason_of(error)
            self.get_logger().error(f'configuration failed: {self._problem}')
            self._release()
            return TransitionCallbackReturn.FAILURE
        self._state, self._problem = 'inactive', ''
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the work of the node."""
        self._state = 'active'
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the work of the node; the configuration stays."""
        self.stop()
        self._state = 'inactive'
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything that on_configure has set up."""
        self._release()
        self._state = 'unconfigured'
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop permanently."""
        self._release()
        self._state = 'finalized'
        return TransitionCallbackReturn.SUCCESS

    def stop(self) -> None:
        """Stop the work of the node; safe to call at any time."""
        raise NotImplementedError

    def _configure(self, settings: S) -> None:
        """Set up for these settings."""
        raise NotImplementedError

    def _release(self) -> None:
        """Stop, and release everything that ``_configure`` has set up."""
        raise NotImplementedError

    def _change(self, old: S, new: S) -> None:
        """Apply new settings; if this raises an error, the old ones stay."""
        raise NotImplementedError

    # parameters

    def _on_parameters(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        changes = {parameter.name: parameter.value for parameter in parameters
                   if parameter.name in self._table}
        try:
            for name, value in changes.items():
                self._table[name].check(value)
            if self._state in ('inactive', 'active'):
                self._apply(changes)
            elif changes and self._retry is None:
                # the new values are valid only after this callback
                self._retry = self.create_timer(0.0, self._retry_autostart,
                                                clock=Clock(clock_type=ClockType.STEADY_TIME))
        except Exception as error:  # an invalid value must not stop a running node
            return SetParametersResult(successful=False, reason=reason_of(error))
        return SetParametersResult(successful=True)

    def _retry_autostart(self) -> None:
        if self._retry:
            self.destroy_timer(self._retry)
        self._retry = None
        if self._state == 'unconfigured' and self._problem:
            self.autostart()

    def _apply(self, changes: Mapping[str, object]) -> None:
        old = self.settings
        values = {name: getattr(old, name) for name in self._table}
        new = checked_settings({**values, **changes}, self._kind, self._table)
        for name in changes:
            if not self._table[name].live and getattr(new, name) != getattr(old, name):
                raise ConfigError(f'{name}: the node is {self._state}; expected unconfigured: set '
                                  'it at start, or deactivate and clean up first')
        if new != old:
            self._change(old, new)
            self._settings = new


def reason_of(error: Exception) -> str:
    """Return the message of an error in one line."""
    if isinstance(error, LiteDetectorError):
        return str(error)
    return f'{type(error).__name__}: {" ".join(str(error).split())}'
