# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files, presets and RViz configuration that are shipped."""

import contextlib
import os
import re
import signal
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from live import NodeProcess, Robot

from instructsam_ros.bridge import tabletop
from instructsam_ros.launching.arguments import declared_arguments
from instructsam_ros.launching.document import LaunchError
from instructsam_ros.launching.plan import make_plan
from instructsam_ros.nodes.bag_player_node import PlayerSettings
from instructsam_ros.nodes.bag_recorder_node import RecorderSettings
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.nodes.tabletop_camera_node import CameraSettings

ROOT = Path(__file__).resolve().parent.parent
PERCEPTION, DEMO, REPLAY = (
    ROOT / f'launch/{name}.launch.yaml' for name in ('instructsam', 'demo', 'replay'))
LAUNCH_FILES = sorted((ROOT / 'launch').glob('*.launch.yaml'))
PRESETS = sorted((ROOT / 'config').glob('*.yaml'))
CAMERAS = [path.stem for path in PRESETS]
# what a node may have in the YAML files of ROS 2 Humble; newer ones know more
HUMBLE_NODE = {
    'pkg', 'exec', 'name', 'namespace', 'output', 'args', 'ros_args', 'param', 'remap', 'env',
    'if', 'unless', 'cwd', 'launch-prefix', 'respawn', 'respawn_delay', 'shell'}


def parameters_of(command):
    """What the parameter files of a command come to; the later ones win."""
    found = {}
    for word, path in zip(command, command[1:], strict=False):
        if word == '--params-file':
            content = yaml.safe_load(Path(path).read_text())
            assert list(content) == ['/**']
            found.update(content['/**']['ros__parameters'])
    return found


def remaps_of(command):
    rules = [rule for word, rule in zip(command, command[1:], strict=False) if word == '-r']
    return dict(rule.split(':=', 1) for rule in rules)


def planned(file, folder, **arguments):
    """Commands of a launch file by the names of their executables."""
    plan = make_plan(file, arguments, folder, environment={'PATH': os.environ['PATH']})
    return {process.name.rpartition('-')[0]: list(process.command) for process in plan.processes}


def preset(camera):
    return yaml.safe_load((ROOT / 'config' / f'{camera}.yaml').read_text())['/**'][
        'ros__parameters']


def assert_valid(values, settings):
    """The values are parameters of the node: known, of the right type, accepted together."""
    types = {one.name: type(one.default) for one in fields(settings)}
    for name, value in values.items():
        # a whole number for a parameter that is a float would end the node at its start
        assert type(value) is types[name], name
    made = settings(**values)
    if hasattr(made, 'problem'):
        assert made.problem() is None


@pytest.mark.parametrize('camera', CAMERAS)
def test_presets_set_only_parameters_of_the_node(camera):
    assert_valid(preset(camera), PerceptionSettings)


@pytest.mark.parametrize('camera', CAMERAS)
def test_preset_documents_the_topics_that_the_launch_file_uses(camera, tmp_path):
    text = (ROOT / 'config' / f'{camera}.yaml').read_text()
    documented = dict(re.findall(r'^# (image|depth|camera_info) +(/\S+)', text, re.MULTILINE))
    remaps = remaps_of(planned(PERCEPTION, tmp_path, camera=camera)['perception_node'])
    assert set(documented) == {'image', 'depth', 'camera_info'}
    assert {name: remaps[name] for name in documented} == documented


def test_every_preset_is_a_choice_of_the_launch_file():
    arguments = {one.name: one for one in declared_arguments(PERCEPTION)}
    assert sorted(arguments['camera'].choices) == CAMERAS


def test_camera_topics_can_be_named_one_by_one(tmp_path):
    remaps = remaps_of(
        planned(PERCEPTION, tmp_path, camera='zed', image='/front/image')['perception_node'])
    assert remaps['image'] == '/front/image'
    assert remaps['depth'] == '/zed/zed_node/depth/depth_registered'


@pytest.mark.parametrize('camera', CAMERAS)
def test_defaults_are_those_of_the_node(camera, tmp_path):
    values = parameters_of(planned(PERCEPTION, tmp_path, camera=camera)['perception_node'])
    assert values.pop('use_sim_time') is False
    assert_valid(values, PerceptionSettings)
    defaults = {one.name: one.default for one in fields(PerceptionSettings)}
    assert values == {**{name: defaults[name] for name in values}, **preset(camera)}


def test_arguments_become_parameters_and_topics(tmp_path):
    command = planned(
        PERCEPTION, tmp_path, instruction='5', model='true', device='cpu', score_threshold='1',
        target_frame='base_link', use_sim_time='true', instruction_topic='/say',
        voice_topic='/hear', namespace='arm', log_level='debug')['perception_node']
    values = parameters_of(command)
    # texts stay texts, whatever they look like
    assert values['instruction'] == '5' and values['model'] == 'true'
    assert values['use_sim_time'] is True and values['score_threshold'] == 1.0
    assert isinstance(values['score_threshold'], float)
    assert (values['device'], values['target_frame']) == ('cpu', 'base_link')
    remaps = remaps_of(command)
    assert (remaps['instruction'], remaps['voice']) == ('/say', '/hear')
    assert remaps['__ns'] == '/arm'
    assert command[command.index('--log-level') + 1] == 'debug'


def test_own_parameter_file_wins_over_preset_and_arguments(tmp_path):
    own = tmp_path / 'own.yaml'
    own.write_text('/**: {ros__parameters: {target_frame: map, sync_slop: 0.5}}')
    values = parameters_of(planned(
        PERCEPTION, tmp_path, camera='zed', target_frame='odom', params=str(own))[
            'perception_node'])
    assert (values['target_frame'], values['sync_slop']) == ('map', 0.5)
    # what the file says nothing about stays the camera's
    assert values['rectified'] is True


def test_unknown_camera_and_unknown_argument_are_errors(tmp_path):
    with pytest.raises(LaunchError, match=r'camera.*one of realsense, zed, oak_d'):
        planned(PERCEPTION, tmp_path, camera='webcam')
    with pytest.raises(LaunchError, match="did you mean 'target_frame'"):
        planned(PERCEPTION, tmp_path, targetframe='map')


def test_rviz_without_ros_2_says_how_to_go_on(tmp_path):
    with pytest.raises(LaunchError, match=r'rviz2.*rviz:=false'):
        planned(PERCEPTION, tmp_path, rviz='true')


def test_rviz_shows_the_chosen_frame(tmp_path):
    executable = tmp_path / 'lib/rviz2/rviz2'
    marker = tmp_path / 'share/ament_index/resource_index/packages/rviz2'
    for path in (executable, marker):
        path.parent.mkdir(parents=True)
        path.touch(mode=0o755)
    environment = {'AMENT_PREFIX_PATH': str(tmp_path)}
    for given, frame in (({}, 'odom'), ({'target_frame': 'base_link'}, 'base_link')):
        plan = make_plan(PERCEPTION, {'camera': 'zed', 'rviz': 'true', **given}, tmp_path,
                         environment=environment)
        command = list(plan.processes[-1].command)
        assert command[0] == str(executable)
        assert command[command.index('-f') + 1] == frame
        assert Path(command[command.index('-d') + 1]).is_file()


def test_demo_starts_a_camera_that_the_perception_node_looks_at(tmp_path):
    commands = planned(DEMO, tmp_path, seed='7', rate='15', instruction='the mug')
    values = parameters_of(commands['tabletop_camera_node'])
    assert_valid(values, CameraSettings)
    assert (values['seed'], values['rate']) == (7, 15.0)
    defaults = {one.name: one.default for one in fields(CameraSettings)}
    for name in set(values) - {'seed', 'rate'}:
        assert values[name] == defaults[name], name
    namespace = remaps_of(commands['tabletop_camera_node'])['__ns']
    perception = commands['perception_node']
    assert parameters_of(perception)['instruction'] == 'the mug'
    assert parameters_of(perception)['gravity_frame'] == CameraSettings().world_frame
    remaps = remaps_of(perception)
    for name, relative in (
        ('image', tabletop.IMAGE), ('depth', tabletop.DEPTH), ('camera_info', tabletop.INFO)
    ):
        assert remaps[name] == f'{namespace}/{relative}'


def test_replay_plays_a_bag_to_the_perception_node(tmp_path):
    commands = planned(
        REPLAY, tmp_path, bag='my bag', camera='zed', rate='0.5', instruction="the robot's mug")
    assert set(commands) == {'perception_node', 'bag_player_node'}
    values = parameters_of(commands['bag_player_node'])
    assert_valid(values, PlayerSettings)
    assert (values['bag'], values['rate'], values['instruction']) == (
        'my bag', 0.5, "the robot's mug")
    perception = commands['perception_node']
    assert values['wait_for'] == remaps_of(perception)['image'] == (
        '/zed/zed_node/rgb/color/rect/image')
    assert parameters_of(perception)['use_sim_time'] is True
    assert parameters_of(perception)['instruction'] == "the robot's mug"
    # the player makes the time
    assert 'use_sim_time' not in values


def test_replay_records_where_it_is_told(tmp_path):
    values = parameters_of(
        planned(REPLAY, tmp_path, bag='bag', record='results')['bag_recorder_node'])
    assert values.pop('use_sim_time') is True
    assert_valid(values, RecorderSettings)
    assert values == {'bag': 'results', 'topics': RecorderSettings().topics}


@pytest.mark.parametrize('loop', ['false', 'true'])
def test_replay_plays_by_ros2_bag_where_it_is_asked_to(tmp_path, loop):
    commands = planned(
        REPLAY, tmp_path, bag='my bag', player='ros2bag', rate='2.0', start='3', loop=loop)
    assert set(commands) == {'perception_node', 'ros2'}
    assert commands['ros2'] == [
        'ros2', 'bag', 'play', 'my bag', '--clock', '100', '--rate', '2.0', '--start-offset', '3',
        *(['--loop'] if loop == 'true' else [])]


def test_replay_without_a_bag_is_an_error(tmp_path):
    with pytest.raises(LaunchError, match=r"argument 'bag' is missing: add bag:="):
        planned(REPLAY, tmp_path)


@pytest.mark.parametrize('file', LAUNCH_FILES, ids=lambda path: path.name)
def test_every_argument_is_described(file):
    for argument in declared_arguments(file):
        assert argument.description, argument.name
        assert argument.default is not None or (file == REPLAY and argument.name == 'bag'), (
            f'{argument.name} must not be required')


@pytest.mark.parametrize('file', LAUNCH_FILES, ids=lambda path: path.name)
def test_ros_2_humble_knows_everything_that_is_used(file):
    actions = yaml.safe_load(file.read_text())['launch']
    for action in actions:
        ((kind, content),) = action.items()
        allowed = {
            'arg': {'name', 'default', 'description', 'choice'},
            'include': {'file', 'arg', 'if', 'unless'}, 'node': HUMBLE_NODE,
            'executable': {'cmd', 'if', 'output'}}[kind]
        if file == REPLAY:
            # all ends with the bag; Jazzy, which the nodes need anyway, knows that
            allowed = {*allowed, 'on_exit'}
        assert set(content) <= allowed
        # the frontend takes nothing but text here
        for key in set(content) - {'choice', 'arg', 'param', 'remap', 'env'}:
            assert isinstance(content[key], str), key


def test_rviz_shows_topics_that_the_node_publishes():
    content = yaml.safe_load((ROOT / 'config/instructsam.rviz').read_text())
    displays = content['Visualization Manager']['Displays']
    topics = {one['Topic']['Value'] for one in displays if 'Topic' in one}
    source = (ROOT / 'instructsam_ros/nodes/outputs.py').read_text()
    assert topics
    for topic in topics:
        assert f"'{topic.replace('/instructsam/', '~/')}'" in source, topic


def test_launched_demo_answers_and_ends_cleanly(ros_domain):
    process = NodeProcess(
        'launch', DEMO, 'instruction:=the red mug', 'device:=cpu', 'rate:=10.0',
        module='instructsam_ros.cli')
    try:
        process.wait_for('ready', timeout=120)  # torch and the model load, perhaps beside others
        with contextlib.closing(Robot()) as robot:
            targets = robot.next('targets', timeout=60)
    finally:
        code = process.end(signal.SIGINT)
    assert targets.header.frame_id == 'camera_color_optical_frame'
    assert code == 0, process.report()
    assert not process.said('does not end'), process.report()
