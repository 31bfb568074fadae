# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the perception node."""

from dataclasses import dataclass

from instructsam_ros.bridge.parameters import setting
from instructsam_ros.perception.filtering import FilterSettings
from instructsam_ros.perception.noise import DepthNoise
from instructsam_ros.perception.projection import ProjectionSettings
from instructsam_ros.perception.tracking import TrackingSettings


@dataclass(frozen=True)
class PerceptionSettings:
    """One field per parameter; those that are not read-only may change while the node runs."""

    autostart: bool = setting(
        True, 'load the model and start by itself; false leaves it to lifecycle calls',
        read_only=True)
    model: str = setting(
        '', 'checkpoint folder or hub id; empty: the included checkpoint', read_only=True)
    device: str = setting(
        'auto', 'where the model runs: auto (the GPU if there is one), cpu, cuda', read_only=True)
    instruction: str = setting(
        '', 'instruction to begin with; empty: none', read_only=True)

    image_transport: str = setting(
        'raw', 'form of the images: topic `image`, or `image/compressed`',
        choices=('raw', 'compressed'), read_only=True)
    depth_transport: str = setting(
        'raw', 'form of the depth images: topic `depth`, or `depth/compressedDepth`',
        choices=('raw', 'compressedDepth'), read_only=True)
    use_depth: bool = setting(
        True, 'wait for a depth image with every image; false: 2D only', read_only=True)
    rectified: bool = setting(
        False, 'the images are rectified: use P of camera_info, else K and D')
    depth_registration: str = setting(
        'auto', 'bring depth of another camera into the picture, by depth_camera_info and TF: '
        "auto (when its frame or its aspect ratio is not the picture's), always, or never",
        choices=('auto', 'always', 'never'))
    sync_slop: float = setting(
        0.02, 'stamps of image and depth may differ by less than this', unit='s',
        minimum=0.001, maximum=1.0, read_only=True)
    sync_queue_size: int = setting(
        10, 'images and depth images that are kept to wait for each other',
        minimum=1, maximum=200, read_only=True)
    sync_patience: float = setting(
        2.0, 'after so long without matching depth go on in 2D', unit='s',
        minimum=0.1, maximum=60.0)

    target_frame: str = setting(
        '', "frame of targets, points and markers; empty: the camera's optical frame")
    gravity_frame: str = setting(
        '', 'frame whose z points up; empty: target_frame, or unknown if that is empty too')
    tf_timeout: float = setting(
        0.1, "longest wait for TF at the image's stamp", unit='s', minimum=0.0, maximum=5.0)

    tracking: bool = setting(
        True, 'ids last from picture to picture and poses are filtered; false: every picture by '
        'itself', name='tracking.enabled')
    tracking_frame: str = setting(
        '', 'frame in which objects rest while camera and robot move, such as odom; empty: '
        'gravity_frame, or else target_frame; without any, ids last but poses are not filtered')
    tracking_time_to_live: float = setting(
        TrackingSettings.time_to_live, 'a target that is not seen where it should be keeps its id '
        'for so long', unit='s', minimum=0.0, maximum=60.0, name='tracking.time_to_live')
    tracking_memory: float = setting(
        TrackingSettings.memory, 'the same while its place is out of the picture, or behind '
        'something nearer', unit='s', minimum=0.0, maximum=3600.0, name='tracking.memory')
    tracking_max_speed: float = setting(
        TrackingSettings.max_speed, 'no target moves faster while it is not seen', unit='m/s',
        minimum=0.0, maximum=10.0, name='tracking.max_speed')
    tracking_process_noise: float = setting(
        FilterSettings.rest, 'random walk of a target that rests, for the filter of its place',
        unit='m/sqrt(s)', minimum=0.0, maximum=1.0, name='tracking.process_noise')

    score_threshold: float = setting(
        0.0, "least score of an instance; 0: the model's own threshold",
        minimum=0.0, maximum=1.0)
    low_score: float = setting(
        ProjectionSettings.low_score, 'targets with a lower score get STATUS_LOW_SCORE',
        minimum=0.0, maximum=1.0)
    min_depth: float = setting(
        ProjectionSettings.min_depth, 'nearer depth counts as invalid', unit='m',
        minimum=0.0, maximum=100.0)
    max_depth: float = setting(
        ProjectionSettings.max_depth, 'farther depth counts as invalid', unit='m',
        minimum=0.01, maximum=100.0)
    depth_noise_constant: float = setting(
        DepthNoise.constant, "depth's standard deviation is constant + quadratic * z^2: the part "
        'at any distance', unit='m', minimum=0.0001, maximum=1.0, name='depth_noise.constant')
    depth_noise_quadratic: float = setting(
        DepthNoise.quadratic, 'its growth with the squared distance; for stereo cameras disparity '
        'noise / (focal length * baseline)', unit='1/m', minimum=0.0, maximum=1.0,
        name='depth_noise.quadratic')
    max_rate: float = setting(
        0.0, 'most frames per second that are processed; 0: as many as possible', unit='Hz',
        minimum=0.0, maximum=1000.0)
    freshness_wait: float = setting(
        0.015, 'longest wait for a picture that is about to come, instead of searching one that '
        'is nearly a period of the camera old; 0: never wait', unit='s', minimum=0.0, maximum=0.1)

    wake_word: str = setting(
        '', 'only voice messages with this word count; empty: all')
    jpeg_quality: int = setting(
        80, 'JPEG quality of ~/overlay/compressed', minimum=1, maximum=100)
    latency_warning: float = setting(
        1.0, 'warn when a result is older than this as it is published', unit='s',
        minimum=0.01, maximum=3600.0)

    def problem(self) -> str | None:
        """Return what is wrong between parameters, None if nothing is."""
        if self.min_depth >= self.max_depth:
            return (f'min_depth is {self.min_depth} m and max_depth {self.max_depth} m: '
                    'min_depth must be the smaller one')
        for name in ('target_frame', 'gravity_frame', 'tracking_frame'):
            frame = getattr(self, name)
            if frame.startswith('/') or frame != frame.strip():
                return f'{name} is {frame!r}: TF frames have no leading "/" and no spaces around'
        if self.wake_word and not any(letter.isalnum() for letter in self.wake_word):
            return f'wake_word is {self.wake_word!r}: name a word, or leave it empty'
        return None

    @property
    def projection(self) -> ProjectionSettings:
        """What the projector is to take for granted."""
        return ProjectionSettings(
            low_score=self.low_score, min_depth=self.min_depth, max_depth=self.max_depth,
            noise=DepthNoise(self.depth_noise_constant, self.depth_noise_quadratic))

    @property
    def up_frame(self) -> str:
        """The frame whose z points up, '' when unknown."""
        return self.gravity_frame or self.target_frame

    @property
    def fixed_frame(self) -> str:
        """The frame in which objects rest, '' when unknown or not needed."""
        return (self.tracking_frame or self.up_frame) if self.tracking else ''

    @property
    def names_a_frame(self) -> bool:
        """Whether TF is needed."""
        return bool(self.target_frame or self.up_frame or self.fixed_frame)

    @property
    def tracker(self) -> TrackingSettings:
        """How targets are followed."""
        return TrackingSettings(
            self.tracking_time_to_live, self.tracking_memory, self.tracking_max_speed,
            FilterSettings(rest=self.tracking_process_noise, max_speed=self.tracking_max_speed))

    @property
    def threshold(self) -> float | None:
        """The threshold for the segmenter."""
        return self.score_threshold or None
