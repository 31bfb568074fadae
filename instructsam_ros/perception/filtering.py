# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where resting and moved objects are: a Kalman filter per target on the box's centre.

The state is the centre p, which stays where it is but for a small random walk, and the error b
that all measurements from one viewpoint share (the hidden back, the mask's rim)::

    z = p + b + noise        cov(noise) = white part, cov(b) = persistent part of the measurement

While the camera stands still b hardly changes, and p becomes no surer than the persistent part
allows, however many frames there are; from a new direction or distance b is drawn afresh, and p
becomes surer. A frame that knows more (an occluder has gone) counts at once, whatever the number
of worse ones before it: what both viewpoints have in common is the lesser of their errors. This
is the consider filter of Schmidt (1966), with b estimated as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# chi-square, 3 degrees of freedom: 95, 99.9 and 99.99 % lie below
_LIKELY, _UNLIKELY, _EXCLUDED = 7.815, 16.266, 21.108
# share of the persistent variance that may change unannounced between neighbouring viewpoints
_UNSTEADY = 0.3
# seconds in which a shared error fades though the camera stands still: what a shape is taken for
# (round or not, with a handle or not) flips now and then, and the first guess must not stick; that
# places get no surer by it, ``best`` and ``views`` see to
_LASTS = 1.0
# m^2: no part of a measurement is surer than 0.1 mm; keeps matrices invertible too
_LEAST = 1e-8
# seconds between measurements that are kept to tell motion from rest
_SPACING = 0.2
# viewpoints differ by 1 when the direction turns by so many radians, or the distance by so many
# parts (natural logarithm); new ones are noted from a distance of _STEP on
_TURN, _APPROACH, _STEP = 0.6, 0.5, 0.15
_MOST_VIEWPOINTS = 40


@dataclass(frozen=True)
class FilterSettings:
    """How targets may move.

    Attributes:
        rest: random walk of a resting object's centre, m/sqrt(s).
        move: the same once it was seen to move.
        max_speed: m/s that outliers may be apart and still agree with each other.
        confirmations: consecutive outliers that agree, after which the object has moved.
        calm: seconds without motion after which a moving object rests.
    """

    rest: float = 0.0005
    move: float = 0.1
    max_speed: float = 0.5
    confirmations: int = 3
    calm: float = 1.0


@dataclass(frozen=True, eq=False)
class _Past:
    """An earlier measurement: its time, centre [3], covariances [3, 3] and viewpoint [4]."""

    stamp: float
    centre: Array
    white: Array
    shared: Array
    viewpoint: Array


@dataclass
class Place:
    """What is believed of one target's centre, in the fixed frame, after its last measurement.

    Attributes:
        stamp: of that measurement, seconds.
        mean: [6] centre and shared error, metres.
        covariance: [6, 6] of it.
        shared: [3, 3] m^2, prior covariance of the shared error: the persistent part.
        viewpoints: [n, 4] directions and distances that it was seen from.
        newness: how far the latest viewpoints lie beyond those.
        best: [3, 3] m^2, of the persistent parts so far what all have in common.
        views: so many independent views all viewpoints together are worth.
        moving: it was seen to move lately.
        past: the measurements of the last seconds, to tell motion from rest.
    """

    stamp: float
    mean: Array
    covariance: Array
    shared: Array
    viewpoints: Array
    best: Array
    newness: float = 0.0
    views: float = 1.0
    moving: bool = False
    past: deque[_Past] = field(default_factory=deque)
    _misfits: list[Array] = field(default_factory=list)

    @property
    def centre(self) -> Array:
        """Believed centre [3]."""
        return self.mean[:3]

    @property
    def accuracy(self) -> Array:
        """Covariance [3, 3] of the centre."""
        return self.covariance[:3, :3]

    @property
    def persistent(self) -> Array:
        """The part [3, 3] of ``accuracy`` that more frames from here would not take away."""
        return self.covariance[3:, 3:]

    def look_from(self, viewpoint: Array) -> float:
        """Note a viewpoint [4]; return how far the shared error is the same as before, 0..1.

        It changes only on new ground: a camera that sways to and fro learns nothing new.
        """
        nearest = float(np.sqrt(((self.viewpoints - viewpoint) ** 2).sum(axis=1).min()))
        progress = max(nearest - self.newness, 0.0)
        # errors decay exponentially over the way, so that a way of 2 is worth one view more
        self.views += progress / 2
        self.newness += progress
        if nearest > _STEP and len(self.viewpoints) < _MOST_VIEWPOINTS:
            self.viewpoints = np.vstack([self.viewpoints, viewpoint])
            self.newness = 0.0
        return float(np.exp(-progress))

    def note_misfit(self, centre: Array, allowed: float) -> int:
        """Return how many misfits in a row agree, this one included."""
        if self._misfits and np.linalg.norm(centre - self._misfits[-1]) > allowed:
            self._misfits.clear()
        self._misfits.append(centre)
        return len(self._misfits)

    def note_fit(self, new: _Past, stride: float, settings: FilterSettings) -> None:
        """Learn from a measurement that fits whether the object slides, or rests again.

        ``stride`` is its squared distance, in deviations, from the oldest of ``past``.
        """
        self._misfits.clear()
        past = self.past
        if stride > _EXCLUDED:
            self.moving = True
        elif self.moving and past and new.stamp - past[0].stamp >= settings.calm:
            if stride < _LIKELY:
                self.moving = False
            past.clear()
        if not past or new.stamp - past[-1].stamp >= _SPACING:
            past.append(new)
        while len(past) > 1 and new.stamp - past[0].stamp > 2 * settings.calm:
            past.popleft()


@dataclass(frozen=True)
class Measurements:
    """Centres of n targets measured in one frame, in the fixed frame.

    Attributes:
        stamp: seconds.
        centres: [n, 3] metres.
        white, persistent: [n, 3, 3] m^2, the two parts of each covariance.
        viewpoints: [n, 4], see ``viewpoints_of``.
        leaps: [n] metres from the believed place on which the target is known to have moved.
    """

    stamp: float
    centres: Array
    white: Array
    persistent: Array
    viewpoints: Array
    leaps: Array


def viewpoints_of(centres: Array, camera: Array) -> Array:
    """Return from where a camera at ``camera`` [3] sees ``centres`` [n, 3]: [n, 4].

    A direction and the logarithm of the distance, scaled so that errors decay by 1/e over 1.
    """
    away = camera - centres
    distance = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-3)
    return np.hstack([away / distance / _TURN, np.log(distance) / _APPROACH])


def update(
    places: Sequence[Place | None], found: Measurements, settings: FilterSettings
) -> list[Place]:
    """Return the places after their measurements; None has had none yet.

    What does not fit is kept from moving a place. Consecutive misfits that agree with each other
    mean that the object moved: its place begins anew there.
    """
    known = [
        k for k, place in enumerate(places)
        if place is not None
        and np.linalg.norm(found.centres[k] - place.centre) <= found.leaps[k]
    ]
    kept: dict[int, Place | None] = {}
    if known:
        old = [place for place in (places[k] for k in known) if place is not None]
        kept = dict(zip(known, _corrected(old, found, known, settings), strict=True))
    fresh: list[Place] = []
    answers = []
    for k, place in enumerate(places):
        found_again = kept.get(k)
        if found_again is None:
            fresh = fresh or _begin(found)
            # it was somewhere else before
            fresh[k].moving = place is not None
            found_again = fresh[k]
        answers.append(found_again)
    return answers


def _begin(found: Measurements) -> list[Place]:
    """Return what is believed after the first measurement of each target."""
    white, shared = _definite(found.white), _definite(found.persistent)
    covariance = np.block([[white + shared, -shared], [-shared, shared]])
    mean = np.concatenate([found.centres, np.zeros_like(found.centres)], axis=1)
    return [
        Place(
            found.stamp, mean[k], covariance[k], shared[k], found.viewpoints[k : k + 1], shared[k]
        )
        for k in range(len(mean))
    ]


def _corrected(
    places: Sequence[Place], found: Measurements, rows: list[int], settings: FilterSettings
) -> list[Place | None]:
    """Correct places by the given rows of the measurements; None must begin anew."""
    centres, viewpoints = found.centres[rows], found.viewpoints[rows]
    white, shared = _definite(found.white[rows]), _definite(found.persistent[rows])
    elapsed = np.array([max(found.stamp - place.stamp, 0.0) for place in places])
    mean, covariance = _predicted(places, elapsed, viewpoints, shared, settings)
    innovation = centres - mean[:, :3] - mean[:, 3:]
    # both halves of the state add up to the measurement
    towards = covariance[:, :, :3] + covariance[:, :, 3:]
    spread = towards[:, :3] + towards[:, 3:] + white
    careful = spread + _UNSTEADY * shared
    fits = _squared(innovation, careful) < _UNLIKELY
    gain = np.linalg.solve(careful, towards.transpose(0, 2, 1)).transpose(0, 2, 1)
    gain[~fits] = 0.0
    mean = mean + (gain @ innovation[..., None])[..., 0]
    # Joseph's form, which holds for any gain
    change = gain @ towards.transpose(0, 2, 1)
    covariance = _symmetric(
        covariance - 2 * change + gain @ spread @ gain.transpose(0, 2, 1)
    )
    # a part that comes and goes, such as that of an occluder, is no new view
    best = lesser(np.stack([place.best for place in places]), shared)
    least = best / np.array([place.views for place in places])[:, None, None]
    covariance[:, :3, :3] += least - lesser(least, covariance[:, :3, :3])
    new = [
        _Past(found.stamp, centres[k], white[k], shared[k], viewpoints[k]) for k in range(len(rows))
    ]
    strides = _strides([place.past[0] if place.past else new[k] for k, place in enumerate(places)],
                       new)
    # an error larger than it can be is the object's own motion
    strained = _squared(mean[:, 3:], shared) > _UNLIKELY
    # what two measurements of a thing in motion may be apart
    allowed = settings.max_speed * elapsed + 3 * np.sqrt(
        np.trace(white + shared, axis1=1, axis2=2))
    kept: list[Place | None] = []
    for k, place in enumerate(places):
        place.stamp, place.shared = found.stamp, shared[k]
        place.mean, place.covariance, place.best = mean[k], covariance[k], best[k]
        stays = not strained[k]
        if fits[k]:
            place.note_fit(new[k], strides[k], settings)
        elif place.note_misfit(centres[k], allowed[k]) >= settings.confirmations:
            stays = False
        kept.append(place if stays else None)
    return kept


def _strides(old: Sequence[_Past], new: Sequence[_Past]) -> list[float]:
    """Squared distances between measurements of the same objects, in deviations of rest."""
    before, now = (np.stack([one.shared for one in side]) for side in (old, new))
    views = np.stack([a.viewpoint - b.viewpoint for a, b in zip(old, new, strict=True)])
    same = np.exp(-np.sqrt((views**2).sum(axis=1)))
    spread = before + now - 2 * same[:, None, None] * lesser(before, now)
    spread += np.stack([a.white + b.white for a, b in zip(old, new, strict=True)])
    away = np.stack([b.centre - a.centre for a, b in zip(old, new, strict=True)])
    found: list[float] = _squared(away, spread).tolist()
    return found


def _predicted(
    places: Sequence[Place],
    elapsed: Array,
    viewpoints: Array,
    shared: Array,
    settings: FilterSettings,
) -> tuple[Array, Array]:
    """Means [n, 6] and covariances [n, 6, 6] at the time and from the viewpoints of now."""
    mean = np.stack([place.mean for place in places])
    covariance = np.stack([place.covariance for place in places])
    before = np.stack([place.shared for place in places])
    pace = np.array([settings.move if place.moving else settings.rest for place in places])
    covariance[:, :3, :3] += (pace**2 * elapsed)[:, None, None] * np.eye(3)
    kept = np.array([place.look_from(view) for place, view in zip(places, viewpoints, strict=True)])
    kept *= np.exp(-elapsed / _LASTS)
    common = kept[:, None, None] * lesser(before, shared)
    # of the error before, the part that is still the same, and what came in its place
    carry = np.linalg.solve(before, common).transpose(0, 2, 1)
    turned = carry.transpose(0, 2, 1)
    mean[:, 3:] = (carry @ mean[:, 3:, None])[..., 0]
    covariance[:, :3, 3:] = covariance[:, :3, 3:] @ turned
    covariance[:, 3:, :3] = covariance[:, :3, 3:].transpose(0, 2, 1)
    covariance[:, 3:, 3:] = carry @ covariance[:, 3:, 3:] @ turned + shared - carry @ common
    return mean, _symmetric(covariance)


def _squared(vectors: Array, covariances: Array) -> Array:
    """Squared lengths [n] of vectors [n, 3] in units of their covariances [n, 3, 3]."""
    lengths: Array = (vectors * np.linalg.solve(covariances, vectors[..., None])[..., 0]).sum(1)
    return lengths


def _symmetric(matrices: Array) -> Array:
    symmetric: Array = (matrices + matrices.transpose(0, 2, 1)) / 2
    return symmetric


def _definite(matrices: Array) -> Array:
    """Nearest covariances [n, 3, 3] whose eigenvalues are not below the least."""
    values, vectors = np.linalg.eigh(_symmetric(matrices))
    return (vectors * np.maximum(values, _LEAST)[:, None, :]) @ vectors.transpose(0, 2, 1)


def lesser(a: Array, b: Array) -> Array:
    """Of two covariances [n, 3, 3], what both have: in their common axes the lesser variance.

    ``a`` must be positive definite.
    """
    factor = np.linalg.cholesky(a)
    inner = np.linalg.solve(factor, np.linalg.solve(factor, b).transpose(0, 2, 1))
    values, vectors = np.linalg.eigh(_symmetric(inner))
    outer = factor @ vectors
    return (outer * np.minimum(values, 1.0)[:, None, :]) @ outer.transpose(0, 2, 1)
