# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros demo``: drawn tabletop frames, many kinds of instructions, and the truth."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from instructsam_ros.commands.options import add_model_options

# what takes long to import is imported where it is used: --help must answer at once
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from instructsam.tabletop.grammar import Instruction
    from instructsam.tabletop.render import TabletopFrame
    from instructsam_ros.commands.comparison import TrueObject
    from instructsam_ros.commands.demo_page import DemoStep
    from instructsam_ros.perception.camera import CameraModel
    from instructsam_ros.perception.frame import Frame
    from instructsam_ros.perception.pipeline import PerceptionPipeline

_PER_FRAME = 2


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command's parser."""
    parser = commands.add_parser(
        'demo',
        help='see it work on drawn tabletop frames, no camera needed',
        description='Draws tabletop frames with noisy depth, runs instructions of many kinds on '
        'them and prints every target beside the truth.',
    )
    parser.add_argument(
        '--frames', type=_positive, default=6, metavar='N', help='default: %(default)s'
    )
    add_model_options(parser)
    parser.add_argument(
        '--out',
        default='instructsam_demo',
        metavar='DIR',
        help='folder for pictures, result.json and index.html (default: %(default)s)',
    )
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 300:
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number from 1 to 300')
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Do it. Raises ValueError or FileNotFoundError for what the user can mend."""
    from rich.console import Console

    console = Console()
    console.print(
        f'Drawing {options.frames} tabletop frames that the model has never seen, with noisy '
        'depth, and asking it for things.'
    )
    begin = time.perf_counter()
    with console.status('loading the model'):
        from instructsam_ros.commands.demo_page import comparison_table, summary, write_page
        from instructsam_ros.perception.pipeline import PerceptionPipeline
        from instructsam_ros.perception.results import result_document, staged_output
        from instructsam_ros.perception.segmenter import load_segmenter

        pipeline = PerceptionPipeline(load_segmenter(options.model, options.device))
    folder = Path(options.out)
    steps, records = [], []
    with staged_output(folder) as staging, console.status('looking') as status:
        for number, step, record in _steps(options, pipeline, staging):
            status.update(f'frame {number + 1} of {options.frames}')
            steps.append(step)
            records.append(record)
        (staging / 'result.json').write_text(result_document(records), encoding='utf-8')
        write_page(staging / 'index.html', steps)
    console.print(comparison_table(steps))
    for line in summary(steps):
        console.print(line)
    seconds = time.perf_counter() - begin
    console.print(f'{len(steps)} instructions in {seconds:.0f} s, loading included.')
    console.print(f'Pictures: open {folder / "index.html"}', soft_wrap=True)
    return 0


def _steps(
    options: argparse.Namespace, pipeline: PerceptionPipeline, staging: Path
) -> Iterator[tuple[int, DemoStep, dict[str, object]]]:
    """Run the demo's instructions one after the other; write their pictures."""
    import numpy as np

    from instructsam.tabletop import splits
    from instructsam_ros.commands.comparison import compare
    from instructsam_ros.commands.demo_page import DemoStep
    from instructsam_ros.perception.drawing import draw_overlay
    from instructsam_ros.perception.images import write_image
    from instructsam_ros.perception.results import result_record

    shown: dict[str, int] = {}
    for index in range(options.frames):
        sample = splits.load('test', index)
        frame, camera = _camera_frame(sample.frame, np.random.default_rng(index))
        for turn, instruction in enumerate(_varied(sample.instructions, shown)):
            result = pipeline.run(frame, instruction.text, threshold=options.threshold)
            wanted = [
                _truth(sample.frame, camera, number)
                for phrase in instruction.phrases
                for number in phrase.objects
            ]
            picture = f'{index + 1:02d}_{turn + 1}_{instruction.kind}.png'
            overlay = draw_overlay(
                frame.image,
                result.segmentation.instances,
                result.targets,
                caption=instruction.text,
            )
            write_image(staging / picture, overlay)
            shape = (frame.image.shape[0], frame.image.shape[1])
            step = DemoStep(
                index + 1,
                instruction.kind,
                instruction.text,
                result.segmentation.answer,
                picture,
                compare(result, wanted),
                sum(result.timings.values()),
            )
            yield index, step, result_record(result, f'tabletop:test:{index}', shape, picture)


def _camera_frame(
    drawn: TabletopFrame, rng: np.random.Generator
) -> tuple[Frame, CameraModel]:
    """What a depth camera would deliver of a drawn frame."""
    from instructsam.tabletop.depth_noise import add_depth_noise
    from instructsam_ros.perception.camera import CameraModel
    from instructsam_ros.perception.frame import Frame

    camera = drawn.scene.camera
    model = CameraModel.from_k(camera.K, camera.width, camera.height)
    depth = add_depth_noise(drawn.depth, rng, image=drawn.image, focal=float(camera.K[0, 0]))
    return Frame(drawn.image, depth, model, camera.pose), model


def _varied(
    instructions: tuple[Instruction, ...], shown: dict[str, int]
) -> list[Instruction]:
    """Choose the frame's instructions whose kinds were shown least; count them."""
    chosen: list[Instruction] = []
    for _ in range(min(_PER_FRAME, len(instructions))):
        rest = [one for one in instructions if all(one is not other for other in chosen)]
        best = min(rest, key=lambda one: shown.get(one.kind, 0))
        shown[best.kind] = shown.get(best.kind, 0) + 1
        chosen.append(best)
    return chosen


def _truth(drawn: TabletopFrame, camera: CameraModel, number: int) -> TrueObject:
    import numpy as np

    from instructsam_ros.commands.comparison import TrueObject, visible_centroid

    thing = drawn.scene.objects[number]
    to_camera = np.linalg.inv(drawn.scene.camera.pose)
    mask: NDArray[np.bool_] = drawn.mask(number)
    return TrueObject(
        f'{thing.color} {thing.category}',
        mask,
        visible_centroid(mask, drawn.depth, camera),
        (to_camera @ thing.pose)[:3, 3],
        np.asarray(thing.size, np.float64),
    )
