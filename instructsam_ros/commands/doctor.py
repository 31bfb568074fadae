# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros doctor``: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import argparse
import json

from instructsam_ros.commands.options import add_model_options

_STYLES = {'ok': 'green', 'warn': 'yellow', 'fail': 'bold red'}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command's parser."""
    parser = commands.add_parser(
        'doctor',
        help='find out what works on this machine, and how to mend the rest',
        description='Looks at Python, libraries, torch and GPU, ROS 2, network and checkpoint. '
        'The exit code is 1 if something fails.',
    )
    add_model_options(parser)
    parser.add_argument(
        '--quick', action='store_true', help='do not load the model, send no data')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it; return 1 if something fails, else 0."""
    from instructsam_ros.doctor import machine, wire
    from instructsam_ros.doctor.finding import FAIL, Check, document, examine

    checks: list[tuple[str, Check]] = [
        ('Python', machine.python),
        ('instructsam_ros', machine.package),
        ('libraries', machine.libraries),
        ('torch', machine.torch),
        ('disk', machine.disk),
        ('ROS 2', wire.client),
        ('messages', wire.messages),
        ('environment', wire.environment),
        ('multicast', wire.multicast),
    ]
    if not options.quick:
        checks.append(('data', wire.sample))
        checks.append(
            ('checkpoint', lambda: machine.checkpoint(options.model, options.device)))
    findings = []
    if options.json:
        findings = list(examine(checks))
        print(json.dumps(document(findings), indent=1))
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        for one in examine(checks):
            findings.append(one)
            line = Text.assemble((f'{one.status:<5}', _STYLES[one.status]), ' ',
                                 (one.subject, 'bold'), f': {one.detail}')
            console.print(line, soft_wrap=True)
            if one.mend:
                console.print(Text(f'      -> {one.mend}'), soft_wrap=True)
        failed = sum(one.status == FAIL for one in findings)
        console.print('\nAll that is needed works.' if not failed else
                      f'\n{failed} of {len(findings)} lines need mending.')
    return int(any(one.status == FAIL for one in findings))
