# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros run``: one node in this process, with all ROS 2 arguments."""

from __future__ import annotations

import argparse
import importlib
import sys


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command's parser."""
    parser = commands.add_parser(
        'run',
        help='run a node: perception_node unless another is named',
        description='Runs a node until Ctrl-C. Everything after its name goes to the node, such '
        'as: --ros-args -r image:=/camera/camera/color/image_raw -p target_frame:=base_link',
        usage='instructsam-ros run [-h] [NODE] [--ros-args ...]',
        # no word is an option of ours: all that begin with - go to the node
        prefix_chars='+',
        add_help=False,
    )
    parser.add_argument('words', nargs='*', metavar='NODE',
                        help='perception_node (default), tabletop_camera_node, '
                        'planning_scene_node, bag_player_node or bag_recorder_node')
    parser.set_defaults(run=run, show_help=parser.print_help)


def run(options: argparse.Namespace) -> int:
    """Do it; return the node's exit code. Raises ValueError for a node that there is not."""
    from instructsam_ros.launching.packages import PACKAGE, PackageMissingError, node_command

    name, words = 'perception_node', list(options.words)
    if words[:1] in (['-h'], ['--help']):
        options.show_help()
        return 0
    if words and not words[0].startswith('-'):
        name, *words = words
    try:
        command = node_command(name)
    except PackageMissingError as error:
        raise ValueError(str(error)) from None
    if words and words[0] != '--ros-args':
        raise ValueError(f"'{words[0]}' is unknown: arguments of the node follow --ros-args")
    module = importlib.import_module(f'{PACKAGE}.nodes.{name}')
    # nodes read their arguments as ROS 2 programs do
    sys.argv = [command[-1], *words]
    return int(module.main(sys.argv))
