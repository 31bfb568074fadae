# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

import argparse


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add --model and --device."""
    parser.add_argument(
        '--model',
        metavar='DIR|HUB_ID',
        help='checkpoint folder or hub id (default: the tabletop checkpoint that comes along)',
    )
    parser.add_argument(
        '--device', choices=('auto', 'cpu', 'cuda'), default='auto', help='default: %(default)s'
    )


def add_threshold_option(parser: argparse.ArgumentParser) -> None:
    """Add --threshold."""
    parser.add_argument(
        '--threshold',
        type=_share,
        metavar='0..1',
        help="least score of an instance (default: the checkpoint's own)",
    )


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number from 0 to 1')
    return value
