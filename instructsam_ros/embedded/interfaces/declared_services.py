# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The standard services, in the message language; rosbags' type stores hold messages only."""

_DONE = 'bool success\nstring message'

SERVICES = {
    'std_srvs/srv/Empty': '---\n',
    'std_srvs/srv/SetBool': f'bool data\n---\n{_DONE}',
    'tf2_msgs/srv/FrameGraph': '---\nstring frame_yaml',
    'std_srvs/srv/Trigger': f'---\n{_DONE}',
    'action_msgs/srv/CancelGoal':
        'GoalInfo goal_info\n---\n'
        'int8 ERROR_NONE=0\nint8 ERROR_REJECTED=1\nint8 ERROR_UNKNOWN_GOAL_ID=2\n'
        'int8 ERROR_GOAL_TERMINATED=3\nint8 return_code\nGoalInfo[] goals_canceling',
    'diagnostic_msgs/srv/AddDiagnostics': f'string load_namespace\n---\n{_DONE}',
    'diagnostic_msgs/srv/SelfTest': '---\nstring id\nbyte passed\nDiagnosticStatus[] status',
    'lifecycle_msgs/srv/ChangeState': 'Transition transition\n---\nbool success',
    'lifecycle_msgs/srv/GetAvailableStates': '---\nState[] available_states',
    'lifecycle_msgs/srv/GetAvailableTransitions':
        '---\nTransitionDescription[] available_transitions',
    'lifecycle_msgs/srv/GetState': '---\nState current_state',
    'nav_msgs/srv/GetMap': '---\nOccupancyGrid map',
    'nav_msgs/srv/GetPlan':
        'geometry_msgs/PoseStamped start\ngeometry_msgs/PoseStamped goal\nfloat32 tolerance\n---\n'
        'Path plan',
    'nav_msgs/srv/LoadMap':
        'string map_url\n---\n'
        'uint8 RESULT_SUCCESS=0\nuint8 RESULT_MAP_DOES_NOT_EXIST=1\n'
        'uint8 RESULT_INVALID_MAP_DATA=2\nuint8 RESULT_INVALID_MAP_METADATA=3\n'
        'uint8 RESULT_UNDEFINED_FAILURE=255\nOccupancyGrid map\nuint8 result',
    'nav_msgs/srv/SetMap':
        'OccupancyGrid map\ngeometry_msgs/PoseWithCovarianceStamped initial_pose\n---\n'
        'bool success',
    'rcl_interfaces/srv/DescribeParameters':
        'string[] names\n---\nParameterDescriptor[] descriptors',
    'rcl_interfaces/srv/GetLoggerLevels': 'string[] names\n---\nLoggerLevel[] levels',
    'rcl_interfaces/srv/GetParameterTypes': 'string[] names\n---\nuint8[] types',
    'rcl_interfaces/srv/GetParameters': 'string[] names\n---\nParameterValue[] values',
    'rcl_interfaces/srv/ListParameters':
        'uint64 DEPTH_RECURSIVE=0\nstring[] prefixes\nuint64 depth\n---\n'
        'ListParametersResult result',
    'rcl_interfaces/srv/SetLoggerLevels':
        'LoggerLevel[] levels\n---\nSetLoggerLevelsResult[] results',
    'rcl_interfaces/srv/SetParameters':
        'Parameter[] parameters\n---\nSetParametersResult[] results',
    'rcl_interfaces/srv/SetParametersAtomically':
        'Parameter[] parameters\n---\nSetParametersResult result',
    'composition_interfaces/srv/ListNodes':
        '---\nstring[] full_node_names\nuint64[] unique_ids',
    'composition_interfaces/srv/LoadNode':
        'string package_name\nstring plugin_name\nstring node_name\nstring node_namespace\n'
        'uint8 log_level\nstring[] remap_rules\nrcl_interfaces/Parameter[] parameters\n'
        'rcl_interfaces/Parameter[] extra_arguments\n---\n'
        'bool success\nstring error_message\nstring full_node_name\nuint64 unique_id',
    'composition_interfaces/srv/UnloadNode':
        'uint64 unique_id\n---\nbool success\nstring error_message',
    'sensor_msgs/srv/SetCameraInfo':
        'CameraInfo camera_info\n---\nbool success\nstring status_message',
    'type_description_interfaces/srv/GetTypeDescription':
        'string type_name\nstring type_hash\nbool include_type_sources true\n---\n'
        'bool successful\nstring failure_reason\nTypeDescription type_description\n'
        'TypeSource[] type_sources\nKeyValue[] extra_information',
    'visualization_msgs/srv/GetInteractiveMarkers':
        '---\nuint64 sequence_number\nInteractiveMarker[] markers',
}
