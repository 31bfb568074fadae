# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The nodes use only what ROS 2 Jazzy has: they must run unchanged where it is installed."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / 'instructsam_ros'
MODULES = [*sorted((PACKAGE / 'nodes').glob('*.py')), *sorted((PACKAGE / 'bridge').glob('*.py')),
           PACKAGE / 'demo' / 'conversation.py']

# what Jazzy's rclpy, message_filters and tf2_ros offer to import, as far as it is used
JAZZY = {
    'rclpy': {'create_node', 'init', 'ok', 'shutdown', 'try_shutdown'},
    'rclpy.callback_groups': {'MutuallyExclusiveCallbackGroup', 'ReentrantCallbackGroup'},
    'rclpy.client': {'Client'},
    'rclpy.clock': {'Clock', 'ClockType', 'JumpThreshold', 'ROSClock', 'TimeJump'},
    'rclpy.context': {'Context'},
    'rclpy.duration': {'Duration'},
    'rclpy.event_handler': {'PublisherEventCallbacks', 'SubscriptionEventCallbacks'},
    'rclpy.exceptions': {
        'InvalidHandle', 'InvalidParameterTypeException', 'InvalidParameterValueException',
        'ParameterAlreadyDeclaredException', 'ParameterException'},
    'rclpy.executors': {
        'Executor', 'ExternalShutdownException', 'MultiThreadedExecutor',
        'SingleThreadedExecutor'},
    'rclpy.lifecycle': {
        'LifecycleNode', 'LifecycleNodeMixin', 'LifecyclePublisher', 'LifecycleState',
        'TransitionCallbackReturn'},
    'rclpy.node': {'Node'},
    'rclpy.parameter': {'Parameter'},
    'rclpy.publisher': {'Publisher'},
    'rclpy.qos': {
        'DurabilityPolicy', 'HistoryPolicy', 'QoSPolicyKind', 'QoSProfile', 'ReliabilityPolicy',
        'qos_profile_sensor_data'},
    'rclpy.qos_overriding_options': {'QoSOverridingOptions'},
    'rclpy.signals': {'SignalHandlerOptions'},
    'rclpy.subscription': {'Subscription'},
    'rclpy.time': {'Time'},
    'rclpy.timer': {'Timer'},
    'message_filters': {'ApproximateTimeSynchronizer', 'SimpleFilter', 'Subscriber'},
    'tf2_ros': {
        'Buffer', 'ExtrapolationException', 'InvalidArgumentException',
        'StaticTransformBroadcaster', 'TransformBroadcaster', 'TransformException',
        'TransformListener'},
}  # fmt: skip
# what rclpy's Node and LifecycleNodeMixin call their own in Jazzy; no subclass may overwrite it
TAKEN = {
    '_apply_descriptor', '_apply_descriptor_and_set', '_apply_descriptors',
    '_apply_floating_point_range', '_apply_integer_range', '_call_post_set_parameters_callback',
    '_call_pre_set_parameters_callback', '_check_undeclared_parameters',
    '_count_clients_or_servers', '_count_publishers_or_subscribers', '_declare_parameter_common',
    '_get_info_by_topic', '_set_parameters_atomically', '_set_parameters_atomically_common',
    '_validate_qos_or_depth_parameter', '_validate_topic_or_service_name', '_wake_executor',
    '_allow_undeclared_parameters', '_callbacks', '_clients', '_clock', '_context',
    '_default_callback_group', '_descriptors', '_guards', '_logger', '_logger_service',
    '_managed_entities', '_on_set_parameters_callbacks', '_parameter_callbacks',
    '_parameter_event_publisher', '_parameter_overrides', '_parameter_service', '_parameters',
    '_post_set_parameters_callbacks', '_pre_set_parameters_callbacks', '_publishers', '_rate_group',
    '_service_change_state', '_service_get_available_states', '_service_get_available_transitions',
    '_service_get_state', '_service_get_transition_graph', '_services', '_state_machine',
    '_subscriptions', '_time_source', '_timers', '_type_description_service',
}  # fmt: skip


@pytest.mark.parametrize('path', MODULES, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_only_names_that_jazzy_has_are_imported(path):
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            module, names = statement.module, {one.name for one in statement.names}
            if module.split('.')[0] in ('rclpy', 'message_filters', 'tf2_ros'):
                assert names <= JAZZY.get(module, set()), f'{module}: {names}'
            assert not module.startswith('instructsam_ros.embedded')
            assert module != 'cv_bridge'
        if isinstance(statement, ast.Import):
            for one in statement.names:
                assert one.name in ('rclpy', 'tf2_ros', 'message_filters') or (
                    one.name.split('.')[0] not in ('rclpy', 'tf2_ros', 'cv_bridge'))


def test_the_node_overwrites_nothing_of_rclpy():
    for path in (PACKAGE / 'nodes').glob('*_node.py'):
        tree = ast.parse(path.read_text())
        own = {
            one.attr for one in ast.walk(tree)
            if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store)
            and isinstance(one.value, ast.Name) and one.value.id == 'self'}
        own |= {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}
        assert own & TAKEN == set(), path


def test_messages_of_this_package_come_from_one_place():
    for path in MODULES:
        if path.name != 'interfaces.py':
            text = path.read_text()
            assert 'instructsam_ros.msg' not in text, path
            assert 'instructsam_ros.srv' not in text, path
