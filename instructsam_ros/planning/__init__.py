# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""For planners: targets as MoveIt collision objects, as input of grasp networks, and "the" target.

::

    scene = CollisionScene(SceneSettings(padding=0.01))
    diff = scene.update(message)               # a TargetArray: what to add, move, remove
    publisher.publish(planning_scene(diff))    # a moveit_msgs/PlanningScene
    mug = select_target(message, label='red mug')

Targets are taken as messages of any ROS 2 client, or as ``perception.targets.Target``. Importing
this needs neither ROS nor MoveIt; only the functions that make or read messages import them.
"""

from instructsam_ros.planning.boxes import BoxChange, CollisionBox, Operation, SceneDiff, Skipped
from instructsam_ros.planning.grasping import AnyGraspInput, GraspBundle
from instructsam_ros.planning.messages import (
    MoveItMissingError,
    collision_objects,
    grasp_bundle,
    planning_scene,
)
from instructsam_ros.planning.observation import UNMEASURED
from instructsam_ros.planning.scene import CollisionScene, SceneSettings
from instructsam_ros.planning.selection import DOUBTFUL, select_target

__all__ = [
    'DOUBTFUL', 'UNMEASURED', 'AnyGraspInput', 'BoxChange', 'CollisionBox', 'CollisionScene',
    'GraspBundle', 'MoveItMissingError', 'Operation', 'SceneDiff', 'SceneSettings', 'Skipped',
    'collision_objects', 'grasp_bundle', 'planning_scene', 'select_target',
]
