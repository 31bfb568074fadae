# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How well targets keep their ids and places: drawn sequences with moving cameras and occlusions.

    python benchmarks/tracking.py [--masks truth|model] [--sequences 50] [--cache DIR]

Projector and Tracker run over the sequences of `instructsam.tabletop.sequences`: 10 s at 10 Hz,
depth as a stereo camera measures it, the camera's pose as TF would give it.

With true masks every object in sight is an instance. With the model's masks one instruction per
sequence, about what stands on the table at the start, is asked in every frame, and the truth are
the objects that it means. An object of which less than 10 % or fewer than 30 pixels are seen is
neither required nor, if found, counted wrong.

HOTA, IDF1 and MOTA: similarity is the IoU of masks; counts of all sequences are pooled, as the
evaluation code of HOTA's authors does (`instructsam.tracking_metrics`), so that each detection
weighs the same. Centre: of the target's box against that of the whole object; centroid: of the
visible surface, which is not filtered. NEES: squared error
of the centre in units of its covariance; 95 % of honest ones lie within 0.216 and 9.348
(chi-squared, 3 degrees of freedom), for the mean over a target's frames too, as its errors are
mostly the same in all of them. Unfiltered is what the projector says, filtered what the tracker
says of the same frame. Jitter: how far a resting object seems to move from frame to frame (RMS).
"""

import argparse
import hashlib
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from instructsam.tabletop.camera_paths import CAMERA_PATHS
from instructsam.tabletop.grammar import sample_instruction
from instructsam.tabletop.recording import recorded
from instructsam.tabletop.sequences import (
    FRAMES,
    RATE,
    SEQUENCES,
    SequenceFrame,
    SequenceObject,
    sequence,
)
from instructsam.tracking_metrics import (
    SAME_PLACE,
    TrackedFrame,
    TrackingScore,
    mask_ious,
    mask_overlaps,
    score_sequence,
)
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.projection import Projector
from instructsam_ros.perception.results import decode_rle, encode_rle
from instructsam_ros.perception.targets import Target, TargetStatus
from instructsam_ros.perception.tracking import Tracker

Rows = dict[str, NDArray]

LEAST_VISIBLE, LEAST_PIXELS = 0.1, 30
BAND = (0.216, 9.348)
STAGES = ('segment', 'project', 'track')
# Kinds of instructions that mean things by what they are, so that their meaning does not change
# with the camera's place.
_KINDS = ('category', 'attribute', 'several_instances')
# the camera moves: from the frame before
_SHIFT, _TURN = 1e-3, np.radians(0.1)  # m, rad
_WAYS = ('unfiltered', 'filtered')


@dataclass(frozen=True)
class Question:
    """What is asked in a sequence: ``wanted`` are the ids of the objects that are meant."""

    text: str
    kind: str
    wanted: frozenset[int]


@dataclass(frozen=True)
class Outcome:
    """One sequence: its score, a row per matched target, and seconds per stage [frames]."""

    number: int
    question: Question | None
    score: TrackingScore
    rows: Rows
    seconds: dict[str, list[float]]
    masks: list[int]


def main() -> None:
    """Print the tables and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--masks', choices=('truth', 'model'), default='truth')
    parser.add_argument('--sequences', type=_numbers, default=range(SEQUENCES), metavar='N|A-B',
                        help='the first N, or from A to B (default: all 50)')
    parser.add_argument('--cache', type=Path, metavar='DIR',
                        help="keep drawn frames (55 MB a sequence) and the model's masks there")
    parser.add_argument('--processes', type=int, default=1)
    parser.add_argument('--model', help='checkpoint folder or hub id (default: the tabletop one)')
    parser.add_argument('--out', type=Path, default=Path('tracking.json'))
    options = parser.parse_args()
    run = partial(_run, masks=options.masks, folder=options.cache, model=options.model)
    console = Console(width=120)
    with ProcessPoolExecutor(
            options.processes, mp_context=multiprocessing.get_context('spawn'),
            initializer=_one_thread) as pool:
        outcomes = list(progress(
            pool.map(run, options.sequences), 'sequences', len(options.sequences),
            console=Console(stderr=True), transient=True))
    figures = _figures(outcomes) | {'masks': options.masks}
    _print(console, outcomes, figures)
    options.out.write_text(json.dumps(figures, indent=1) + '\n')
    console.print(f'all figures: {options.out}')


def _numbers(text: str) -> range:
    first, _, last = text.rpartition('-')
    numbers = range(int(first), int(last) + 1) if first else range(int(last))
    if not numbers or numbers[-1] >= SEQUENCES:
        raise argparse.ArgumentTypeError(f'there are {SEQUENCES} sequences, 0 to {SEQUENCES - 1}')
    return numbers


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _run(number: int, masks: str, folder: Path | None, model: str | None) -> Outcome:
    """Follow the targets of one sequence."""
    projector, tracker = Projector(), Tracker()
    frames = sequence(number).frames() if folder is None else recorded(number, folder)
    question, answers = None, None
    if masks == 'model':
        question, answers = _answers(number, folder, model)
    seconds: dict[str, list[float]] = {name: [] for name in STAGES}
    tracked, rows, counts = [], _Rows(number), []
    for frame in frames:
        if answers is None:
            instances: list[Any] = [_instance(one.mask, one.name) for one in frame.objects
                                    if one.mask.any()]
        else:
            spent, instances = answers[frame.number]
            seconds['segment'].append(spent)
        camera = CameraModel.from_k(frame.camera.K, frame.camera.width, frame.camera.height)
        camera.rays()  # once per camera in real life, where K stays
        begin = time.thread_time()
        targets = projector.project(instances, frame.depth, camera, frame.camera.pose[:3, :3])
        projected = time.thread_time()
        followed = tracker.update(
            targets, instances, frame.stamp, camera, frame.camera.pose, frame.depth)
        seconds['project'].append(projected - begin)
        seconds['track'].append(time.thread_time() - projected)
        counts.append(len(instances))
        tracked.append(_compare(frame, question, instances, targets, followed, rows))
    return Outcome(number, question, score_sequence(tracked), rows.columns(), seconds, counts)


def _compare(
    frame: SequenceFrame, question: Question | None, instances: Sequence[Any],
    targets: Sequence[Target], followed: Sequence[Target], rows: '_Rows',
) -> TrackedFrame:
    meant = [one for one in frame.objects if question is None or one.id in question.wanted]
    required = [one for one in meant if one.visible >= LEAST_VISIBLE
                and np.count_nonzero(one.mask) >= LEAST_PIXELS]
    optional = [one for one in meant if one not in required]
    masks = [one.mask for one in instances]
    # what lies for the most part on something that need not be found is no mistake
    shared = mask_overlaps(masks, [one.mask for one in optional]).sum(axis=1)
    kept = [k for k, mask in enumerate(masks) if shared[k] <= np.count_nonzero(mask) / 2]
    similarity = mask_ious([one.mask for one in required], [masks[k] for k in kept])
    for i, j in zip(*linear_sum_assignment(-similarity), strict=True):
        if similarity[i, j] >= SAME_PLACE:
            rows.add(frame, required[i], targets[kept[j]], followed[kept[j]])
    rows.next_frame(frame)
    return TrackedFrame(
        [one.id for one in required], [followed[k].id for k in kept], similarity)


class _Rows:
    """Collects what is estimated of each object in each frame, in the world."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._rows: list[dict[str, Any]] = []
        self._pose: NDArray | None = None

    def add(
        self, frame: SequenceFrame, true: SequenceObject, target: Target, followed: Target
    ) -> None:
        """Note one target; those without geometry have nothing to compare."""
        if target.geometry is None or followed.geometry is None:
            return
        pair = [one.transformed(frame.camera.pose) for one in (target.geometry, followed.geometry)]
        self._rows.append({
            'sequence': self._number, 'frame': frame.number, 'object': true.id,
            'track': followed.id, 'status': int(followed.status), 'object_moves': true.moving,
            'centroid_error': pair[0].centroid - true.centroid,
            'camera_moves': self._moves(frame.camera.pose),
            'error': [one.position - true.pose[:3, 3] for one in pair],
            'covariance': [one.covariance[:3, :3] for one in pair]})

    def next_frame(self, frame: SequenceFrame) -> None:
        """End a frame."""
        self._pose = frame.camera.pose

    def columns(self) -> Rows:
        """Return all rows: errors [n, 2, 3] and covariances [n, 2, 3, 3], unfiltered first."""
        return {name: np.array([row[name] for row in self._rows]) for name in self._rows[0]} \
            if self._rows else {}

    def _moves(self, pose: NDArray) -> bool:
        if self._pose is None:
            return False
        turn = np.trace(self._pose[:3, :3].T @ pose[:3, :3])
        angle = np.arccos(np.clip((turn - 1) / 2, -1, 1))
        return bool(angle > _TURN or np.linalg.norm(pose[:3, 3] - self._pose[:3, 3]) > _SHIFT)


def _instance(mask: NDArray[np.bool_], phrase: str, score: float = 1.0) -> Any:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    box = (float(x), float(y), float(x + width), float(y + height))
    return SimpleNamespace(mask=mask, phrase=phrase, score=score, box=box)


def _answers(
    number: int, folder: Path | None, model: str | None
) -> tuple[Question, list[tuple[float, list[Any]]]]:
    """Return what is asked, and per frame the model's seconds and instances."""
    path = None if folder is None else folder / f'masks-{_digest(model)}-{number:02d}.json'
    if path is not None and path.exists():
        stored = json.loads(path.read_text())
    else:
        stored = _ask(number, folder, model)
        if path is not None:
            unfinished = path.with_suffix('.partial')
            unfinished.write_text(json.dumps(stored))
            unfinished.replace(path)
    question = Question(stored['instruction'], stored['kind'], frozenset(stored['wanted']))
    return question, [
        (frame['seconds'], [
            _instance(decode_rle(one['segmentation']), one['phrase'], one['score'])
            for one in frame['instances']])
        for frame in stored['frames']]


def _ask(number: int, folder: Path | None, model: str | None) -> dict[str, Any]:
    question = _question(number)
    segmenter = _segmenter(model).stream()
    frames = sequence(number).frames() if folder is None else recorded(number, folder)
    answers = []
    for frame in frames:
        begin = time.thread_time()
        instances = segmenter.segment(frame.image, question.text).instances
        spent = time.thread_time() - begin
        answers.append({'seconds': round(spent, 4), 'instances': [
            {'phrase': one.phrase, 'score': float(one.score),
             'segmentation': encode_rle(one.mask)} for one in instances]})
    return {'instruction': question.text, 'kind': question.kind,
            'wanted': sorted(question.wanted), 'frames': answers}


def _question(number: int) -> Question:
    """Draw what is asked: a kind in turn, or the next one that the scene has room for."""
    frame = sequence(number).picture(0)
    rng = np.random.default_rng([808, number])
    for turn in range(len(_KINDS)):
        kind = _KINDS[(number + turn) % len(_KINDS)]
        instruction = sample_instruction(frame, rng, kind=kind)
        if instruction is not None:
            return Question(
                instruction.text, kind, frozenset(k + 1 for k in instruction.objects))
    raise RuntimeError(f'sequence {number} has nothing to ask about')


@cache
def _segmenter(model: str | None) -> Any:
    import torch

    from instructsam.segmenter import InstructSAMSegmenter

    torch.set_num_threads(1)
    return InstructSAMSegmenter.from_pretrained(model)


@cache
def _digest(model: str | None) -> str:
    """Return a name for the weights, so that masks of others are not taken for theirs."""
    from instructsam import checkpoint

    found = checkpoint.default_checkpoint() if model is None else checkpoint.resolve(model)
    content = hashlib.sha256()
    for path in sorted(Path(found).glob('*.safetensors')):
        content.update(path.read_bytes())
    return content.hexdigest()[:8]


def _figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    total = sum((one.score for one in outcomes), TrackingScore())
    minutes = len(outcomes) * FRAMES / RATE / 60
    filled = [one.rows for one in outcomes if one.rows]
    rows = {name: np.concatenate([one[name] for one in filled]) for name in filled[0]} \
        if filled else {}
    return {
        'sequences': [one.number for one in outcomes],
        **total.to_dict(),
        'id_switches_per_minute': total.switches / minutes,
        'groups': {name: _summary(rows, chosen) for name, chosen in _groups(rows)},
        'nees_of_targets': _target_nees(rows),
        'jitter_mm': _jitter(rows),
        'cpu_ms': {
            name: {'median': float(np.median(times)), 'p95': float(np.percentile(times, 95))}
            for name in STAGES
            if (times := [1000 * s for one in outcomes for s in one.seconds[name]])},
        'masks_per_frame': float(np.mean([k for one in outcomes for k in one.masks])),
        'by_sequence': [
            {'sequence': one.number, 'path': CAMERA_PATHS[one.number % len(CAMERA_PATHS)]}
            | one.score.to_dict()
            | ({} if one.question is None else {
                'instruction': one.question.text, 'kind': one.question.kind,
                'wanted': sorted(one.question.wanted)})
            for one in outcomes],
    }


def _groups(rows: Rows) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield groups of rows by name; empty ones are left out."""
    if not rows:
        return
    status, moves = rows['status'], rows['object_moves']
    groups = {
        'all': np.ones(len(status), bool), 'camera moves': rows['camera_moves'],
        'object rests': ~moves, 'object slides': moves, 'status OK': status == 0,
        **{str(flag.name): (status & flag) > 0 for flag in TargetStatus if flag}}
    yield from ((name, chosen) for name, chosen in groups.items() if chosen.any())


def _summary(rows: Rows, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    error = np.linalg.norm(rows['error'][chosen], axis=2) * 1000
    nees = _nees(rows['error'][chosen], rows['covariance'][chosen])
    rms = np.sqrt((error**2).mean(axis=0))
    centroid = np.linalg.norm(rows['centroid_error'][chosen], axis=1) * 1000
    summary: dict[str, Any] = {
        'n': int(chosen.sum()), 'rms_gain': float(1 - rms[1] / rms[0]),
        'centroid_median_mm': float(np.median(centroid))}
    for k, way in enumerate(_WAYS):
        summary[way] = {
            'median_mm': float(np.median(error[:, k])), 'rms_mm': float(rms[k]),
            'nees_in_band': _in_band(nees[:, k]), 'nees_too_high': float(
                (nees[:, k] > BAND[1]).mean()), 'nees_median': float(np.median(nees[:, k]))}
    return summary


def _nees(error: NDArray, covariance: NDArray) -> NDArray:
    """Return e' C^-1 e [...] of errors [..., 3]; infinite where C is no covariance."""
    sound = np.linalg.eigvalsh(covariance)[..., 0] > 0
    usable = np.where(sound[..., None, None], covariance, np.eye(3))
    value = (error * np.linalg.solve(usable, error[..., None])[..., 0]).sum(axis=-1)
    return np.asarray(np.where(sound, value, np.inf))


def _in_band(nees: NDArray) -> float:
    return float(((nees >= BAND[0]) & (nees <= BAND[1])).mean())


def _target_nees(rows: Rows) -> dict[str, Any]:
    """Return the share of targets whose mean NEES over their frames lies within the band."""
    if not rows:
        return {}
    keys = rows['sequence'] * 1000 + rows['object']
    nees = _nees(rows['error'], rows['covariance'])
    means = np.array([nees[keys == key].mean(axis=0) for key in np.unique(keys)])
    return {'targets': len(means)} | {
        way: {'in_band': _in_band(means[:, k]), 'too_high': float((means[:, k] > BAND[1]).mean())}
        for k, way in enumerate(_WAYS)}


def _jitter(rows: Rows) -> dict[str, float]:
    """Return the RMS step in mm of resting objects between consecutive frames with one id."""
    if not rows:
        return {}
    order = np.lexsort((rows['frame'], rows['object'], rows['sequence']))
    now, then = order[1:], order[:-1]
    steady = rows['frame'][now] - rows['frame'][then] == 1
    for name in ('sequence', 'object', 'track'):
        steady &= rows[name][now] == rows[name][then]
    steady &= ~rows['object_moves'][now] & ~rows['object_moves'][then]
    # the object rests, so that its error moves as its estimate does
    steps = np.linalg.norm(rows['error'][now] - rows['error'][then], axis=2)[steady]
    rms = np.sqrt((steps**2).mean(axis=0)) * 1000 if len(steps) else np.full(2, np.nan)
    return {way: float(rms[k]) for k, way in enumerate(_WAYS)}


def _print(console: Console, outcomes: Sequence[Outcome], figures: dict[str, Any]) -> None:
    summary = Table(title=f'{len(outcomes)} sequences, masks: {figures["masks"]}', box=None)
    names = ('HOTA', 'DetA', 'AssA', 'LocA', 'IDF1', 'MOTA')
    for name in (*names, 'id switches', 'per minute', 'jitter mm: unfiltered', 'filtered'):
        summary.add_column(name, justify='right')
    jitter = figures['jitter_mm'] or dict.fromkeys(_WAYS, float('nan'))
    summary.add_row(
        *(f'{figures[name]:.3f}' for name in names), str(figures['id_switches']),
        f'{figures["id_switches_per_minute"]:.2f}', *(f'{jitter[way]:.2f}' for way in _WAYS))
    console.print(summary)

    centres = Table(
        title='centre of the box: median and RMS of its error in mm, share of NEES in the band',
        box=None)
    for name in ('', 'n', 'centroid', *(
            name for what in ('median', 'RMS', 'NEES') for name in (what, 'filtered')), 'RMS gain'):
        centres.add_column(name, justify='right' if name else 'left')
    for name, group in figures['groups'].items():
        centres.add_row(
            name, str(group['n']), f'{group["centroid_median_mm"]:.2f}',
            *(f'{group[way][key]:.2f}' for key in ('median_mm', 'rms_mm') for way in _WAYS),
            *(f'{group[way]["nees_in_band"]:.1%}' for way in _WAYS), f'{group["rms_gain"]:.1%}')
    if figures['nees_of_targets']:
        means = figures['nees_of_targets']
        centres.add_row(
            'mean of each target', str(means['targets']), *5 * [''],
            *(f'{means[way]["in_band"]:.1%}' for way in _WAYS), '')
    console.print(centres)

    worst = sorted(figures['by_sequence'], key=lambda one: float(one['HOTA']))[:8]
    lowest = Table(title='sequences with the lowest HOTA', box=None)
    for name in ('sequence', 'camera', 'HOTA', 'IDF1', 'id switches', 'instruction'):
        lowest.add_column(name, justify='right' if name[0].isupper() else 'left')
    for one in worst:
        lowest.add_row(
            str(one['sequence']), one['path'], f'{one["HOTA"]:.3f}', f'{one["IDF1"]:.3f}',
            str(one['id_switches']), one.get('instruction', ''))
    console.print(lowest)
    times = ', '.join(
        f'{name} {one["median"]:.1f} (95 %: {one["p95"]:.1f})'
        for name, one in figures['cpu_ms'].items())
    console.print(f'CPU ms per frame of {figures["masks_per_frame"]:.1f} masks: {times}')


if __name__ == '__main__':
    main()
