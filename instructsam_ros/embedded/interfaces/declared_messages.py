# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that rosbags' type stores lack, in the message language."""

from __future__ import annotations

from typing import Any

MESSAGES = {
    'vision_msgs/msg/Point2D': 'float64 x\nfloat64 y',
    'vision_msgs/msg/Pose2D': 'Point2D position\nfloat64 theta',
    'vision_msgs/msg/BoundingBox2D': 'Pose2D center\nfloat64 size_x\nfloat64 size_y',
    'vision_msgs/msg/BoundingBox2DArray': 'std_msgs/Header header\nBoundingBox2D[] boxes',
    'vision_msgs/msg/BoundingBox3D': 'geometry_msgs/Pose center\ngeometry_msgs/Vector3 size',
    'vision_msgs/msg/BoundingBox3DArray': 'std_msgs/Header header\nBoundingBox3D[] boxes',
    'vision_msgs/msg/ObjectHypothesis': 'string class_id\nfloat64 score',
    'vision_msgs/msg/ObjectHypothesisWithPose':
        'ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose',
    'vision_msgs/msg/Classification': 'std_msgs/Header header\nObjectHypothesis[] results',
    'vision_msgs/msg/Detection2D':
        'std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox2D bbox\nstring id',
    'vision_msgs/msg/Detection2DArray': 'std_msgs/Header header\nDetection2D[] detections',
    'vision_msgs/msg/Detection3D':
        'std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox3D bbox\nstring id',
    'vision_msgs/msg/Detection3DArray': 'std_msgs/Header header\nDetection3D[] detections',
    'vision_msgs/msg/VisionClass': 'uint16 class_id\nstring class_name',
    'vision_msgs/msg/LabelInfo':
        'std_msgs/Header header\nVisionClass[] class_map\nfloat32 threshold',
    'vision_msgs/msg/VisionInfo':
        'std_msgs/Header header\nstring method\nstring database_location\nint32 database_version',
    # MoveIt's planning scene and what it is made of
    'object_recognition_msgs/msg/ObjectType': 'string key\nstring db',
    'octomap_msgs/msg/Octomap':
        'std_msgs/Header header\nbool binary\nstring id\nfloat64 resolution\nint8[] data',
    'octomap_msgs/msg/OctomapWithPose':
        'std_msgs/Header header\ngeometry_msgs/Pose origin\noctomap_msgs/Octomap octomap',
    'moveit_msgs/msg/CollisionObject':
        'std_msgs/Header header\ngeometry_msgs/Pose pose\nstring id\n'
        'object_recognition_msgs/ObjectType type\n'
        'shape_msgs/SolidPrimitive[] primitives\ngeometry_msgs/Pose[] primitive_poses\n'
        'shape_msgs/Mesh[] meshes\ngeometry_msgs/Pose[] mesh_poses\n'
        'shape_msgs/Plane[] planes\ngeometry_msgs/Pose[] plane_poses\n'
        'string[] subframe_names\ngeometry_msgs/Pose[] subframe_poses\n'
        'byte ADD=0\nbyte REMOVE=1\nbyte APPEND=2\nbyte MOVE=3\nbyte operation',
    'moveit_msgs/msg/AttachedCollisionObject':
        'string link_name\nCollisionObject object\nstring[] touch_links\n'
        'trajectory_msgs/JointTrajectory detach_posture\nfloat64 weight',
    'moveit_msgs/msg/RobotState':
        'sensor_msgs/JointState joint_state\n'
        'sensor_msgs/MultiDOFJointState multi_dof_joint_state\n'
        'AttachedCollisionObject[] attached_collision_objects\nbool is_diff',
    'moveit_msgs/msg/AllowedCollisionEntry': 'bool[] enabled',
    'moveit_msgs/msg/AllowedCollisionMatrix':
        'string[] entry_names\nAllowedCollisionEntry[] entry_values\n'
        'string[] default_entry_names\nbool[] default_entry_values',
    'moveit_msgs/msg/LinkPadding': 'string link_name\nfloat64 padding',
    'moveit_msgs/msg/LinkScale': 'string link_name\nfloat64 scale',
    'moveit_msgs/msg/ObjectColor': 'string id\nstd_msgs/ColorRGBA color',
    'moveit_msgs/msg/PlanningSceneWorld':
        'CollisionObject[] collision_objects\noctomap_msgs/OctomapWithPose octomap',
    'moveit_msgs/msg/PlanningScene':
        'string name\nRobotState robot_state\nstring robot_model_name\n'
        'geometry_msgs/TransformStamped[] fixed_frame_transforms\n'
        'AllowedCollisionMatrix allowed_collision_matrix\n'
        'LinkPadding[] link_padding\nLinkScale[] link_scale\nObjectColor[] object_colors\n'
        'PlanningSceneWorld world\nbool is_diff',
}

# What the message files say beyond rosbags' tables, which hold no default values.
DEFAULTS: dict[str, dict[str, Any]] = {
    'geometry_msgs/msg/Quaternion': {'w': 1.0},
    'sensor_msgs/msg/NavSatStatus': {'status': -2},
}
