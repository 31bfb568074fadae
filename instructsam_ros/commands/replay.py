# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros replay``: a bag in; results, figures and a report out."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructsam_ros.commands.options import add_model_options, add_threshold_option

# what takes long to import is imported where it is used: --help must answer at once
if TYPE_CHECKING:
    from instructsam_ros.replay.runner import ReplayEnd, ReplayOptions

_BELOW = 3
_INTERRUPTED = 130


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command's parser."""
    parser = commands.add_parser(
        'replay', help='evaluate on a rosbag: figures, a report, a bag with the results',
        description='Searches the pictures of a bag for what instructions name, as the live node '
        'would, and reports how well and how fast. Writes report.html, metrics.json, a bag with '
        'the results, and answers.jsonl, from which --resume goes on. With ground truth in the '
        'bag (see `instructsam-ros bag`) or a COCO file it judges the results.')
    add = parser.add_argument
    add('bag', nargs='?', metavar='BAG', help='folder of the bag, or .mcap, .db3, .bag file')
    add('--out', metavar='DIR', help='folder for the results (default: BAG_replay)')
    add('--compare', nargs=2, metavar=('A', 'B'),
        help='compare two replays (their folders) instead: writes comparison.html into --out, or '
        'else into B')
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        '--instruction', action='append', default=[], metavar='TEXT',
        help='what to find in every picture; repeat for more (default: what the bag says)')
    asked.add_argument(
        '--schedule', metavar='FILE',
        help='YAML list of entries: instruction, and optionally start, stop (seconds), kind, '
        'objects (ids of the true objects that are meant)')
    topics = parser.add_argument_group('topics (default: found by type)')
    for name, text in (
        ('image', 'raw or compressed'),
        ('depth', 'registered to the image, or of a camera with a calibration of its own'),
        ('camera-info', 'of the image'), ('depth-camera-info', 'of the depth'),
        ('instruction-topic', 'std_msgs/String'),
        ('truth', 'InstanceArray with the true objects'),
    ):
        topics.add_argument(f'--{name}', metavar='TOPIC', help=text)
    topics.add_argument('--no-depth', action='store_true', help='2D only')
    parser.add_argument(
        '--coco', metavar='FILE', help='ground truth from a COCO file instead of the bag')
    frames = parser.add_argument_group('frames')
    frames.add_argument('--every', type=_positive_int, default=1, metavar='N',
                        help='take every N-th frame (default: all)')
    frames.add_argument('--live', action='store_true',
                        help='drop frames as the live node would while it is busy')
    frames.add_argument('--latency', type=float, metavar='SECONDS',
                        help='with --live: take every frame to need so long, so that the same '
                        'frames are dropped every time (default: what it really takes)')
    frames.add_argument('--frames-of', default='', metavar='RESULTS',
                        help='take the pictures that a live node answered, by the bag of its '
                        'results')
    frames.add_argument('--start', type=float, default=0.0, metavar='SECONDS')
    frames.add_argument('--stop', type=float, metavar='SECONDS')
    space = parser.add_argument_group('space')
    space.add_argument('--target-frame', default='', metavar='FRAME',
                       help="frame of the targets (default: the camera's optical frame)")
    space.add_argument('--gravity-frame', default='', metavar='FRAME',
                       help="frame whose z points up (default: the root of the bag's TF tree)")
    space.add_argument('--no-tracking', action='store_true', help='every picture by itself')
    add_model_options(parser)
    add_threshold_option(parser)
    parser.add_argument('--resume', action='store_true', help='go on with a stopped replay')
    parser.add_argument(
        '--fail-under', action='append', default=[], type=_bound, metavar='FIGURE=VALUE',
        help='exit with 3 if a figure is below: giou=0.8, ap50, absent_accuracy, hota, idf1 ...; '
        'repeat for more')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it. Raises ValueError or OSError for what the user can mend."""
    if options.compare is not None:
        return _compare(options)
    if options.bag is None:
        raise ValueError('name a BAG, or two replays to --compare')
    if options.latency is not None and not (options.live and options.latency > 0):
        raise ValueError('--latency SECONDS goes with --live and is above 0')
    out = Path(options.out or f'{Path(options.bag).with_suffix("").name}_replay')
    end = _replay(options, out)
    _tell(end, out)
    if end.interrupted:
        return _INTERRUPTED
    return max(2 if end.trouble else 0, _judge(end.metrics, options.fail_under))


def _replay(options: argparse.Namespace, out: Path) -> ReplayEnd:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from instructsam_ros.perception.cores import spare_a_core
    from instructsam_ros.perception.segmenter import load_segmenter
    from instructsam_ros.replay.reading import BagReader
    from instructsam_ros.replay.runner import Replay
    from instructsam_ros.replay.schedule import choose_schedule
    from instructsam_ros.replay.topics import choose_topics
    from instructsam_ros.replay.truth import CocoTruth, TopicTruth

    with BagReader(options.bag) as bag:
        topics = choose_topics(
            bag, image=options.image, depth=options.depth, camera_info=options.camera_info,
            depth_camera_info=options.depth_camera_info, instruction=options.instruction_topic,
            truth=options.truth, use_depth=not options.no_depth)
        schedule = choose_schedule(bag, topics, options.instruction, options.schedule)
        truth: Any = CocoTruth(options.coco) if options.coco else TopicTruth(topics)
        if not options.coco and not truth.companions:
            truth = None
        spare_a_core()
        segmenter = load_segmenter(options.model, options.device)
        replay = Replay(bag, topics, schedule, truth, segmenter, _options(options))
        console = Console()
        bar = Progress(
            BarColumn(), TextColumn('{task.fields[frames]} pictures, {task.fields[rate]}'),
            TimeRemainingColumn(), console=console, transient=True)
        with bar:
            task = bar.add_task('', total=bag.duration, frames=0, rate='')

            def progress(seconds: float, frames: int) -> None:
                spent = bar.tasks[0].elapsed or 0.0
                bar.update(task, completed=seconds, frames=frames,
                           rate=f'{frames / spent:.1f}/s' if spent else '')

            return replay.run(out, shlex.join(['instructsam-ros', *sys.argv[1:]]),
                              _environment(options), progress)


def _options(options: argparse.Namespace) -> ReplayOptions:
    from instructsam_ros.replay.runner import ReplayOptions

    latency = (options.latency or 0.0) if options.live else None
    return ReplayOptions(
        every=options.every, latency=latency, start=options.start, stop=options.stop,
        frames_of=options.frames_of, threshold=options.threshold,
        target_frame=options.target_frame, gravity_frame=options.gravity_frame,
        tracking=not options.no_tracking, resume=options.resume,
        about={'model': options.model, 'device': options.device})


def _environment(options: argparse.Namespace) -> dict[str, Any]:
    import platform
    from importlib.metadata import version

    import torch

    on_gpu = torch.cuda.is_available() and options.device != 'cpu'
    return {
        'instructsam_ros': version('instructsam_ros'), 'python': platform.python_version(),
        'torch': torch.__version__, 'machine': platform.platform(),
        'device': torch.cuda.get_device_name() if on_gpu else 'CPU',
        'threads': torch.get_num_threads(), 'model': options.model or 'tabletop (included)'}


def _tell(end: ReplayEnd, out: Path) -> None:
    from rich.console import Console

    console = Console()

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    metrics = end.metrics
    frames = metrics['frames']
    say(f'{frames["images"]} images, {frames["matched"]} frames, {frames["processed"]} searched')
    for role in ('unmatched', 'flat', 'dropped'):
        for reason, count in frames[role].items():
            say(f'  {count} {"images without a frame" if role == "unmatched" else "frames"}: '
                f'{reason}')
    for name, value in _figures(metrics).items():
        if name in ('giou', 'ap50', 'absent_accuracy', 'idf1', 'hota'):
            say(f'{name} {value:.3f}')
    for one in metrics['warnings']:
        say(f'note: {one}')
    say(f'The report is {out / "report.html"}')


def _judge(metrics: dict[str, Any], bounds: list[tuple[str, float]]) -> int:
    """Return 3 if a figure is below its bound, else 0. Raises ValueError for unknown figures."""
    figures = _figures(metrics)
    failed = []
    for name, bound in bounds:
        if name not in figures:
            known = ', '.join(sorted(figures)) or 'none, for there is no ground truth'
            raise ValueError(f'--fail-under: no figure {name!r}; there are {known}')
        if figures[name] < bound:
            failed.append(f'{name} is {figures[name]:.4f}, below {bound:g}')
    for text in failed:
        sys.stderr.write(f'instructsam-ros: {text}\n')
    return _BELOW if failed else 0


def _figures(metrics: dict[str, Any]) -> dict[str, float]:
    """Return the figures that have a value, by lower-case name."""
    found = {name.lower(): one['value'] for name, one in metrics['summary'].items()
             if isinstance(one, dict) and one['value'] is not None}
    found |= {name.lower(): float(one) for name, one in (metrics['tracking'] or {}).items()}
    return found


def _compare(options: argparse.Namespace) -> int:
    from instructsam_ros.replay.compare import render_comparison

    a, b = (_read_metrics(Path(one)) for one in options.compare)
    folder = Path(options.out or options.compare[1])
    page = render_comparison(a, b)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'comparison.html'
    path.write_text(page, encoding='utf-8')
    print(f'The comparison is {path}')
    return _judge(b, options.fail_under)


def _read_metrics(folder: Path) -> dict[str, Any]:
    path = folder / 'metrics.json' if folder.is_dir() else folder
    try:
        metrics = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise ValueError(f'{path}: no such file: name the folder of a replay') from None
    except ValueError as error:
        raise ValueError(f'{path}: no JSON ({error})') from None
    if not isinstance(metrics, dict) or 'per_frame' not in metrics:
        raise ValueError(f'{path}: no metrics of a replay')
    return metrics


def _bound(text: str) -> tuple[str, float]:
    name, _, value = text.partition('=')
    try:
        return name.strip().lower(), float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not FIGURE=VALUE, such as giou=0.8') from None


def _positive_int(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number of 1 or more')
    return int(text)
