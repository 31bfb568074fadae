# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros``: parses the command line and runs one command.

Errors of the user are one line on stderr that names cause and mend, and exit code 2.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from instructsam_ros.commands import bag, demo, doctor, launch, replay, run, segment

USER_ERROR = 2
INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the error and where to read on, and exit with 2."""
        sys.stderr.write(f'{self.prog}: error: {message} (see {self.prog} --help)\n')
        raise SystemExit(USER_ERROR)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command module adds its own part."""
    parser = _Parser(
        prog='instructsam-ros',
        description='Finds what you say: instructions to masks and 3D targets.',
    )
    parser.add_argument(
        '--traceback', action='store_true', help='show where an error comes from (for reports)'
    )
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for module in (demo, segment, run, launch, replay, bag, doctor):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        sys.stderr.write('instructsam-ros: interrupted\n')
        return INTERRUPTED
    except (ValueError, OSError) as error:
        if options.traceback:
            raise
        # hub and library errors come in paragraphs; the first says what is wrong
        message = ' '.join(str(error).split()) or type(error).__name__
        sys.stderr.write(f'instructsam-ros: error: {message}\n')
        return USER_ERROR


if __name__ == '__main__':
    sys.exit(main())
