# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Managed nodes."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from typing import Any

from lifecycle_msgs.msg import State, Transition, TransitionDescription, TransitionEvent
from lifecycle_msgs.srv import (
    ChangeState,
    GetAvailableStates,
    GetAvailableTransitions,
    GetState,
)
from rclpy._rclpy_pybind11 import RCLError
from rclpy._rclpy_pybind11 import TransitionCallbackReturnType as TransitionCallbackReturn
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle._state_machine import EDGES, STATES, Edge, StateMachine
from rclpy.lifecycle._state_machine import LifecycleState as LifecycleState
from rclpy.lifecycle.managed_entity import ManagedEntity
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.node import Node

_SHUTDOWNS = {
    'unconfigured': Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    'inactive': Transition.TRANSITION_INACTIVE_SHUTDOWN,
    'active': Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


class LifecycleNodeMixin(ManagedEntity):
    """What `LifecycleNode` adds to `Node`; of use only together with it."""

    def __init__(self, *, enable_communication_interface: bool = True,
                 callback_group: CallbackGroup | None = None) -> None:
        """Add states.

        Args:
            enable_communication_interface: Whether others can see and change the state.
            callback_group: Of the services for that; the node's default one if None.
        """
        assert isinstance(self, Node)
        self._callbacks: dict[
            str, Callable[[LifecycleState], TransitionCallbackReturn]] = {
            'configuring': self.on_configure, 'cleaningup': self.on_cleanup,
            'shuttingdown': self.on_shutdown, 'activating': self.on_activate,
            'deactivating': self.on_deactivate, 'errorprocessing': self.on_error}
        self._managed_entities: set[ManagedEntity] = set()
        self._state_machine = StateMachine(self._tell)
        self._transition_events: Any = None
        if not enable_communication_interface:
            return
        self._transition_events = self.create_publisher(
            TransitionEvent, '~/transition_event', 10)
        for srv_type, name, callback in (
                (ChangeState, 'change_state', self._on_change_state),
                (GetState, 'get_state', self._on_get_state),
                (GetAvailableStates, 'get_available_states', self._on_get_states),
                (GetAvailableTransitions, 'get_available_transitions', self._on_get_transitions),
                (GetAvailableTransitions, 'get_transition_graph', self._on_get_graph)):
            self.create_service(srv_type, f'~/{name}', callback, callback_group=callback_group)

    def trigger_configure(self) -> TransitionCallbackReturn:
        """Configure; RCLError where the state does not allow it."""
        return self._change(Transition.TRANSITION_CONFIGURE)

    def trigger_cleanup(self) -> TransitionCallbackReturn:
        """Clean up; RCLError where the state does not allow it."""
        return self._change(Transition.TRANSITION_CLEANUP)

    def trigger_activate(self) -> TransitionCallbackReturn:
        """Activate; RCLError where the state does not allow it."""
        return self._change(Transition.TRANSITION_ACTIVATE)

    def trigger_deactivate(self) -> TransitionCallbackReturn:
        """Deactivate; RCLError where the state does not allow it."""
        return self._change(Transition.TRANSITION_DEACTIVATE)

    def trigger_shutdown(self) -> TransitionCallbackReturn:
        """Shut down; RCLError where the state does not allow it."""
        state = self._state_machine.current_state.label
        if state not in _SHUTDOWNS:
            raise RCLError(f'shutdown is not possible in state {state!r}')
        return self._change(_SHUTDOWNS[state])

    def add_managed_entity(self, entity: ManagedEntity) -> None:
        """Have an entity's callbacks called at transitions.

        Raises:
            TypeError: Not a ManagedEntity.
        """
        if not isinstance(entity, ManagedEntity):
            raise TypeError(f'a ManagedEntity is needed, not {type(entity)}')
        self._managed_entities.add(entity)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure all managed entities until one does not succeed; `state` is the one before.

        Who overrides this and the callbacks below usually calls them by `super()` too.
        """
        return self._call_entities('on_configure', state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean up all managed entities until one does not succeed."""
        return self._call_entities('on_cleanup', state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Shut down all managed entities until one does not succeed."""
        return self._call_entities('on_shutdown', state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate all managed entities until one does not succeed."""
        return self._call_entities('on_activate', state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate all managed entities until one does not succeed."""
        return self._call_entities('on_deactivate', state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Have all managed entities recover until one does not succeed."""
        return self._call_entities('on_error', state)

    def create_lifecycle_publisher(self, *args: Any, **kwargs: Any) -> LifecyclePublisher:
        """Make a publisher that publishes only while active; see `Node.create_publisher`."""
        if 'publisher_class' in kwargs:
            raise TypeError('create_lifecycle_publisher() takes no publisher_class')
        assert isinstance(self, Node)
        made = Node.create_publisher(self, *args, **kwargs, publisher_class=LifecyclePublisher)
        assert isinstance(made, LifecyclePublisher)
        self._managed_entities.add(made)
        return made

    def destroy_lifecycle_publisher(self, publisher: LifecyclePublisher) -> bool:
        """Destroy a lifecycle publisher of this node; False if it is none."""
        self._managed_entities.discard(publisher)
        assert isinstance(self, Node)
        return Node.destroy_publisher(self, publisher)

    def _call_entities(self, name: str, state: LifecycleState) -> TransitionCallbackReturn:
        for entity in list(self._managed_entities):
            result = getattr(entity, name)(state)
            if not isinstance(result, TransitionCallbackReturn):
                raise TypeError(f'{name}() of {entity!r} must return a TransitionCallbackReturn, '
                                f'not {result!r}')
            if result is not TransitionCallbackReturn.SUCCESS:
                return result
        return TransitionCallbackReturn.SUCCESS

    def _change(self, transition: int) -> TransitionCallbackReturn:
        machine = self._state_machine
        before = machine.current_state
        machine.step(lambda edge: edge.id == transition, str(transition))
        result = self._call(before)
        machine.step(lambda edge: edge.label == result.to_label(), result.to_label())
        if result is TransitionCallbackReturn.ERROR:
            recovered = self._call(before)
            machine.step(lambda edge: edge.label == recovered.to_label(), recovered.to_label())
        return result

    def _call(self, before: LifecycleState) -> TransitionCallbackReturn:
        """Call the callback of the present state; what it raises is an error."""
        state = self._state_machine.current_state.label
        try:
            result = self._callbacks[state](before)
            if isinstance(result, TransitionCallbackReturn):
                return result
            raise TypeError(f'a TransitionCallbackReturn is needed, not {result!r}')
        except Exception:
            assert isinstance(self, Node)
            self.get_logger().error(f'the callback of {state!r} failed:\n{traceback.format_exc()}')
            return TransitionCallbackReturn.ERROR

    def _tell(self, edge: Edge) -> None:
        """Publish a step."""
        assert isinstance(self, Node)
        if self._transition_events is None or not self.context.ok():
            return
        self._transition_events.publish(TransitionEvent(
            timestamp=self.get_clock().now().nanoseconds,
            transition=Transition(id=edge.id, label=edge.label),
            start_state=State(id=edge.start.state_id, label=edge.start.label),
            goal_state=State(id=edge.goal.state_id, label=edge.goal.label)))

    def _on_change_state(self, request: Any, response: Any) -> Any:
        assert isinstance(self, Node)
        try:
            transition = request.transition.id
            if request.transition.label:
                transition = self._state_machine.find(request.transition.label).id
            result = self._change(transition)
            response.success = result is TransitionCallbackReturn.SUCCESS
        except RCLError as error:
            self.get_logger().warning(f'change of state refused: {error}')
            response.success = False
        return response

    def _on_get_state(self, request: Any, response: Any) -> Any:
        state = self._state_machine.current_state
        response.current_state = State(id=state.state_id, label=state.label)
        return response

    def _on_get_states(self, request: Any, response: Any) -> Any:
        response.available_states = [State(id=state.state_id, label=state.label)
                                     for state in STATES.values()]
        return response

    def _on_get_transitions(self, request: Any, response: Any) -> Any:
        response.available_transitions = _described(self._state_machine.available())
        return response

    def _on_get_graph(self, request: Any, response: Any) -> Any:
        response.available_transitions = _described(EDGES)
        return response


def _described(edges: Iterable[Edge]) -> list[Any]:
    return [TransitionDescription(
        transition=Transition(id=edge.id, label=edge.label),
        start_state=State(id=edge.start.state_id, label=edge.start.label),
        goal_state=State(id=edge.goal.state_id, label=edge.goal.label)) for edge in edges]


class LifecycleNode(LifecycleNodeMixin, Node):
    """A node with states: unconfigured, inactive, active, finalized."""

    def __init__(self, node_name: str, *, enable_communication_interface: bool = True,
                 **kwargs: Any) -> None:
        """Make a node in state unconfigured; the other arguments are those of `Node`."""
        Node.__init__(self, node_name, **kwargs)
        LifecycleNodeMixin.__init__(
            self, enable_communication_interface=enable_communication_interface)
