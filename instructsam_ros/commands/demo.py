# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros demo``: camera and perception as two processes, asked for things and judged."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from instructsam_ros.commands.options import add_model_options, add_threshold_option

# what takes long to import is imported where it is used: --help must answer at once
if TYPE_CHECKING:
    from rich.console import Console

    from instructsam_ros.demo.conversation import Conversation
    from instructsam_ros.demo.page import DemoStep
    from instructsam_ros.demo.script import Request

# seconds; a busy machine loads torch and the model slowly
_START_TIMEOUT = 120.0
_ANSWER_TIMEOUT = 30.0
_WIDTH, _HEIGHT = 640, 480


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command's parser."""
    parser = commands.add_parser(
        'demo',
        help='see it work live on a drawn table, no camera needed',
        description='Starts a camera over drawn tables and the perception node as two processes, '
        'sends instructions of many kinds by topic, voice and service, and prints every target '
        'beside the truth.',
    )
    parser.add_argument(
        '--scenes', type=_count, default=3, metavar='N', help='default: %(default)s'
    )
    parser.add_argument(
        '--instructions', type=_count, default=4, metavar='N',
        help='instructions about each scene, at most 9 (default: %(default)s)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, metavar='N', help='other scenes (default: %(default)s)'
    )
    add_model_options(parser)
    add_threshold_option(parser)
    parser.add_argument(
        '--out',
        default='instructsam_demo',
        metavar='DIR',
        help='folder for pictures, logs, result.json and index.html (default: %(default)s)',
    )
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number from 1 to 100')
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Do it. Raises ValueError or OSError for what the user can mend."""
    from rich.console import Console

    console = Console()
    console.print(
        'A camera moves over drawn tables that the model has never seen; a second process, the '
        'perception node, is asked for things by topic, by voice and by service.'
    )
    _stay_on_this_machine()
    from instructsam_ros.demo.page import summary, write_page
    from instructsam_ros.perception.results import result_document, staged_output

    begin = time.perf_counter()
    steps: list[DemoStep] = []
    records: list[dict[str, object]] = []
    interrupted = False
    with staged_output(Path(options.out)) as staging:
        try:
            _talk(options, console, staging, steps, records)
        except KeyboardInterrupt:
            # what was answered until now is worth a page
            interrupted = True
            console.print('[yellow]interrupted[/]')
        (staging / 'result.json').write_text(result_document(records), encoding='utf-8')
        write_page(staging / 'index.html', steps)
    for line in summary(steps):
        console.print(line)
    console.print(f'{len(steps)} instructions in {time.perf_counter() - begin:.0f} s, '
                  'starting both processes included.')
    console.print(f'Pictures: open {Path(options.out) / "index.html"}', soft_wrap=True)
    return 130 if interrupted else 0


def _stay_on_this_machine() -> None:
    """Keep the demo's topics off the network, unless the user has set discovery up."""
    if not {'CYCLONEDDS_URI', 'ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS'} & os.environ.keys():
        os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')


@contextlib.contextmanager
def _noting_ctrl_c() -> Iterator[Callable[[], None]]:
    """Give a function that raises KeyboardInterrupt after Ctrl-C, also if a first one got lost.

    Python drops an exception that a signal raises in a destructor or a foreign callback.
    """
    pressed = False

    def note(number: int, frame: object) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def _talk(
    options: argparse.Namespace, console: Console, staging: Path, steps: list[DemoStep],
    records: list[dict[str, object]],
) -> None:
    """Ask for everything, and fill steps and records as answers come."""
    from rich.live import Live

    from instructsam_ros.demo.nodes import DemoNodes
    from instructsam_ros.demo.page import comparison_table
    from instructsam_ros.demo.script import requests

    arguments = {
        'seed': str(options.seed), 'width': str(_WIDTH), 'height': str(_HEIGHT),
        'rate': '15.0', 'device': options.device, 'model': options.model or '',
        'score_threshold': str(options.threshold or 0.0),
    }
    with DemoNodes(arguments, staging / 'nodes.log') as nodes, _noting_ctrl_c() as check_ctrl_c:
        from instructsam_ros.demo.conversation import Conversation

        def failure() -> str:
            check_ctrl_c()
            return nodes.failure()

        with contextlib.closing(Conversation(failure)) as conversation:
            with console.status('both processes start, the model is loaded'):
                conversation.wait_until_ready(_START_TIMEOUT)
            with Live(console=console, auto_refresh=False, vertical_overflow='visible') as live:
                for request in requests(
                        options.seed, options.scenes, options.instructions,
                        width=_WIDTH, height=_HEIGHT):
                    conversation.show_scene(request.scene, _START_TIMEOUT)
                    step, record = _ask(conversation, request, staging, len(steps) + 1)
                    steps.append(step)
                    records.append(record)
                    live.update(comparison_table(steps), refresh=True)


def _ask(
    conversation: Conversation, request: Request, staging: Path, number: int
) -> tuple[DemoStep, dict[str, object]]:
    """Ask for one thing, keep its picture, and compare the answer with the truth."""
    from instructsam_ros.demo.comparison import compare
    from instructsam_ros.demo.page import DemoStep
    from instructsam_ros.perception.results import result_record

    reply = conversation.ask(request.text, request.way, request.scene, _ANSWER_TIMEOUT)
    picture = f'{number:02d}_{request.kind}.jpg'
    (staging / picture).write_bytes(reply.overlay)
    wanted = [true for identity, true in reply.truth.items() if identity in request.wanted]
    step = DemoStep(
        request.scene + 1, request.kind, request.way, request.text,
        reply.result.segmentation.answer, picture, compare(reply.result, wanted),
        reply.seconds, reply.latency)
    source = f'tabletop:{request.scene}:{reply.result.stamp:.3f}'
    return step, result_record(reply.result, source, reply.shape, picture)
