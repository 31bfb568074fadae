# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m instructsam.tabletop`: look at the synthetic world."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .splits import SPLITS


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (2 for a mistaken call)."""
    parser = argparse.ArgumentParser(prog='python -m instructsam.tabletop', description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    preview = commands.add_parser('preview', help='draw a sheet of frames with instructions')
    preview.add_argument('--out', type=Path, required=True, help='image file to write')
    preview.add_argument('--split', choices=list(SPLITS), default='test')
    preview.add_argument('--count', type=int, default=12, help='number of frames')
    preview.add_argument('--start', type=int, default=0, help='index of the first frame')
    preview.add_argument('--instructions', type=int, default=3, help='instructions per frame')
    options = parser.parse_args(arguments)
    if options.count < 1 or options.start < 0 or options.instructions < 0:
        print('error: --count must be positive, --start and --instructions not negative',
              file=sys.stderr)
        return 2
    from .preview import write_sheet

    try:
        write_sheet(
            options.out, split=options.split, count=options.count, start=options.start,
            instructions=options.instructions,
        )
    except (ValueError, IndexError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(f'wrote {options.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
