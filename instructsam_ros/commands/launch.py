# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros launch``: runs the YAML launch files of ROS 2, with ROS 2 or without."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command's parser."""
    parser = commands.add_parser(
        'launch',
        help='start nodes from a launch file, as ros2 launch does, no ROS 2 needed',
        description='Starts the nodes of a YAML launch file as processes and shows what they '
        'say; Ctrl-C ends all of them. Reads the same files as ros2 launch.',
    )
    parser.add_argument(
        'file', metavar='FILE',
        help='a path, or one of the included files: instructsam.launch.yaml, demo.launch.yaml, '
        'replay.launch.yaml',
    )
    parser.add_argument(
        'arguments', nargs='*', metavar='NAME:=VALUE', help='arguments of the launch file'
    )
    parser.add_argument(
        '-s', '--show-args', action='store_true', help='show the arguments of the file, and end'
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit code. Raises LaunchError, a ValueError, for what is wrong."""
    import tempfile

    from instructsam_ros.launching.arguments import find_launch_file, parse_arguments
    from instructsam_ros.launching.plan import make_plan
    from instructsam_ros.launching.runner import Runner

    file = find_launch_file(options.file)
    arguments = parse_arguments(options.arguments)
    if options.show_args:
        _show_arguments(file)
        return 0
    with tempfile.TemporaryDirectory(prefix='instructsam-launch-') as folder:
        plan = make_plan(file, arguments, Path(folder))
        for message in plan.messages:
            print(f'[launch] {message}', flush=True)
        if not plan.processes:
            print('[launch] nothing to start', flush=True)
        return Runner(plan.processes).run()


def _show_arguments(file: Path) -> None:
    from instructsam_ros.launching.arguments import declared_arguments

    print(f'Arguments of {file} (name:=value):')
    for one in declared_arguments(file):
        default = 'must be given' if one.default is None else f'default: {one.default!r}'
        choices = f'; one of {", ".join(one.choices)}' if one.choices else ''
        print(f'\n  {one.name}\n    {one.description or "no description"}')
        print(f'    ({default}{choices})')
