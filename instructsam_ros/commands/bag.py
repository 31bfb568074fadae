# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros bag``: look into bags, make bags of pictures or of drawn tables."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

# what takes long to import is imported where it is used: --help must answer at once
if TYPE_CHECKING:
    from rich.table import Table

    from instructsam_ros.replay.frame_folder import AskedFor
    from instructsam_ros.replay.reading import BagReader

Progress = Callable[[int, int], None]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command's parser."""
    parser = commands.add_parser(
        'bag', help='look into bags, or make some with ground truth',
        description='Looks into rosbags, and makes bags with ground truth to replay.')
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    _add_info(actions)
    _add_from_frames(actions)
    _add_record_tabletop(actions)


def _add_info(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        'info', help='what is in a bag, and what replay would take from it',
        description='Shows topics, times and troubles of a bag, and which topics replay would '
        'take. Reads mcap and sqlite3 bags of ROS 2, split and compressed ones too, bags that were '
        'cut short, and ROS 1 bags.')
    parser.add_argument('bag', metavar='BAG', help='folder of the bag, or .mcap, .db3, .bag file')
    parser.set_defaults(run=_info)


def _add_from_frames(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from_frames = actions.add_parser(
        'from-frames', help='make a bag of a folder of pictures, depth and labels',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=_FOLDER)
    from_frames.add_argument('folder', metavar='DIR', help='the pictures')
    _add_output(from_frames)
    from_frames.add_argument(
        '--rate', type=_positive, metavar='HZ',
        help='pictures per second (default: rate_hz of the calibration file, or 10)')
    from_frames.add_argument(
        '--label', type=_label, action='append', default=[], metavar='NUMBER=NAME',
        help='what a label stands for: 1=carrot; repeat for more')
    from_frames.add_argument(
        '--instruction', action='append', default=[], metavar='TEXT=LABELS',
        help='an instruction, and the labels (numbers or names) of what it means: '
        '"the carrot=1", "all toys=carrot,ball", "the drill=" for nothing; repeat for more: all '
        'pictures come once for each')
    from_frames.set_defaults(run=_from_frames)


def _add_record_tabletop(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        'record-tabletop', help='make a bag of drawn tables with instructions and truth',
        description='Draws tables under a moving camera, as the tabletop camera node does, and '
        'writes pictures, TF, instructions of all kinds, and the truth about every object.')
    _add_output(parser)
    number = parser.add_argument
    number('--seconds', type=_positive, default=10.0, help='default: %(default)s')
    number('--rate', type=_positive, default=10.0, metavar='HZ',
           help='pictures per second (default: %(default)s)')
    number('--seed', type=_count, default=0, help='which tables and sentences')
    number('--instructions', type=_count, default=4, metavar='N',
           help='how many, evenly over the time; 0: none (default: %(default)s)')
    number('--scenes', type=_count, default=0, metavar='N',
           help='how many tables (default: one per four instructions)')
    number('--width', type=_count, default=640, help='default: %(default)s')
    number('--height', type=_count, default=480, help='default: %(default)s')
    number('--speed', type=_not_negative, default=0.05, metavar='M/S',
           help='of the camera; 0: it stands still (default: %(default)s)')
    number('--moving-objects', type=_count, default=0, metavar='N',
           help='how many objects slide to and fro, where there is room')
    number('--depth-noise', type=_not_negative, default=1.0, metavar='FACTOR',
           help="1 is a stereo camera's, 0 exact depth (default: %(default)s)")
    number('--drop-rate', type=_share, default=0.0, metavar='0..1',
           help='share of the images, and of the depth images, that get lost')
    parser.set_defaults(run=_record_tabletop)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('out', metavar='OUT', help='folder of the new bag; must not exist')
    parser.add_argument('--storage', choices=('mcap', 'sqlite3'), default='mcap',
                        help='default: %(default)s')
    parser.add_argument('--compressed', action='store_true',
                        help='JPEG and PNG pictures on compressed topics, instead of raw ones')


_FOLDER = """Makes a bag of pictures, and of depth, labels and poses where there are any.

The folder holds either files side by side or folders of files; numbers tell what belongs together:
  color_003.jpg    or color/003.jpg    colour (also rgb, image, images)
  depth_003.png    or depth/003.png    depth registered to colour: 16-bit PNG in millimetres,
                                       0 invalid; or float TIFF or NPY in metres
  labels_003.png   or labels/003.png   0 is background, k is object k in all pictures (also masks)
  pose_003.txt     or poses/003.txt    4x4: optical frame to world (z up), metres
  meta.json        or camera.json, camera_info.yaml, camera.yaml
                                       K, width, height; in JSON also, if need be:
                                       D, depth_scale_to_metres, rate_hz, labels {"1": "carrot"},
                                       instructions [{"text": "the carrot", "labels": [1]}]
Labels become the truth: masks, and with depth the centroid of what is visible."""


def _info(options: argparse.Namespace) -> int:
    from rich.console import Console

    from instructsam_ros.replay.reading import BagReader
    from instructsam_ros.replay.topics import choose_topics

    console = Console()
    with BagReader(options.bag) as bag:
        console.print(_topic_table(bag))
        for line in _summary(bag):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
        try:
            chosen = choose_topics(bag)
        except ValueError as error:
            console.print(f'replay: {error}', soft_wrap=True, markup=False, highlight=False)
            return 0
        for role, topic in chosen.named().items():
            console.print(f'{role}: {topic}', soft_wrap=True, markup=False, highlight=False)
        for note in chosen.notes:
            console.print(f'note: {note}', soft_wrap=True, markup=False, highlight=False)
    return 0


def _topic_table(bag: BagReader) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(str(bag.path)), title_justify='left', box=box.SIMPLE)
    table.add_column('topic', overflow='fold')
    table.add_column('type', overflow='fold')
    table.add_column('messages', justify='right')
    table.add_column('Hz', justify='right')
    table.add_column('remarks', overflow='fold')
    for one in bag.topics.values():
        rate = f'{(one.count - 1) / bag.duration:.1f}' if one.count > 1 and bag.duration else '-'
        remarks = [*(['latched'] if one.latched else []),
                   *([] if one.is_known else ['unknown type'])]
        kind = one.type.replace('/msg/', '/')
        table.add_row(
            escape(one.name), escape(kind), str(one.count), rate, ', '.join(remarks))
    return table


def _summary(bag: BagReader) -> list[str]:
    from datetime import datetime, timezone

    files = f'{bag.files} file{"" if bag.files == 1 else "s"}'
    by = f', recorded by {bag.distro}' if bag.distro else ''
    lines = [f'{bag.storage}, {files}, {bag.size / 1e6:.1f} MB{by}']
    if bag.count:
        begin = datetime.fromtimestamp(bag.start_ns * 1e-9, timezone.utc)
        lines.append(
            f'{bag.count} messages in {bag.duration:.3f} s from {begin:%Y-%m-%d %H:%M:%S} UTC')
    else:
        lines.append('no messages')
    lines += [f'note: {note}' for note in bag.notes]
    if bag.damage:
        lines.append(f'damage: {bag.damage}')
    return lines


def _from_frames(options: argparse.Namespace) -> int:
    from instructsam_ros.replay.frame_folder import read_frame_folder
    from instructsam_ros.replay.from_frames import FramesOptions, bag_from_frames

    names = {**read_frame_folder(options.folder).names, **dict(options.label)}
    chosen = FramesOptions(
        options.rate, tuple(options.label),
        tuple(_asked_for(text, names) for text in options.instruction), options.compressed)
    return _make(options, lambda progress: bag_from_frames(
        options.folder, options.out, chosen, options.storage, progress))


def _record_tabletop(options: argparse.Namespace) -> int:
    from instructsam_ros.replay.record_tabletop import TabletopRecording, record_tabletop

    recording = TabletopRecording(
        options.seconds, options.rate, options.seed, options.instructions, options.scenes,
        options.width, options.height, options.speed, options.moving_objects, options.depth_noise,
        options.drop_rate, options.compressed)
    return _make(options, lambda progress: record_tabletop(
        options.out, recording, options.storage, progress))


def _make(options: argparse.Namespace, make: Callable[[Progress], int]) -> int:
    """Make a bag with a progress bar, and say what it is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console()
    bar = Progress(BarColumn(), MofNCompleteColumn(), 'pictures', TimeRemainingColumn(),
                   console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task('', total=None)
        count = make(lambda done, all_: bar.update(task, completed=done, total=all_))
    console.print(f'{count} pictures are in {options.out}', soft_wrap=True, markup=False)
    return 0


def _asked_for(text: str, names: dict[int, str]) -> AskedFor:
    """Read "the carrot=1,ball". Raises ValueError."""
    from instructsam_ros.replay.frame_folder import AskedFor

    sentence, equals, meant = text.rpartition('=')
    if not equals or not sentence.strip():
        raise ValueError(
            f'--instruction {text!r}: expected TEXT=LABELS, such as "the carrot=1", or "the '
            'drill=" for nothing')
    numbers = {name: label for label, name in names.items()}
    labels = set()
    for word in filter(None, (part.strip() for part in meant.split(','))):
        if word not in numbers and not word.isdigit():
            known = ', '.join(numbers) or 'none; name them with --label'
            raise ValueError(f'--instruction {text!r}: no label {word!r} (known names: {known})')
        labels.add(numbers[word] if word in numbers else int(word))
    return AskedFor(sentence.strip(), frozenset(labels), '' if labels else 'absent')


def _label(text: str) -> tuple[int, str]:
    number, _, name = text.partition('=')
    if not number.strip().isdigit() or not int(number) or not name.strip():
        raise argparse.ArgumentTypeError(f'{text!r} is not NUMBER=NAME, such as 1=carrot')
    return int(number), name.strip()


def _number(text: str, least: float, most: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most or math.isinf(value):
        raise argparse.ArgumentTypeError(f'{text!r} is not {what}')
    return value


def _positive(text: str) -> float:
    return _number(text, 1e-6, math.inf, 'a number above 0')


def _not_negative(text: str) -> float:
    return _number(text, 0, math.inf, 'a number of 0 or more')


def _share(text: str) -> float:
    return _number(text, 0, 1, 'a number from 0 to 1')


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number of 0 or more')
    return int(text)
