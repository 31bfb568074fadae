# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The messages and services, and the build files that list them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest

from instructsam_ros.perception.targets import TargetStatus

ROOT = Path(__file__).resolve().parent.parent
INTERFACES = sorted([*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv')])
PRIMITIVES = {
    'bool', 'byte', 'char', 'string', 'wstring', 'float32', 'float64',
    'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64',
}
# The language's own limits: rosidl refuses other names.
FIELD_NAME = re.compile(r'[a-z](?!.*__)[a-z0-9_]*(?<!_)')
CONSTANT_NAME = re.compile(r'[A-Z](?!.*__)[A-Z0-9_]*(?<!_)')


@dataclass
class Definition:
    """The fields and constants of a message, or of one half of a service."""

    fields: dict[str, str] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    undocumented: list[str] = field(default_factory=list)


def parse(path: Path) -> list[Definition]:
    """Read an interface file: one definition for a message, two for a service."""
    parts = [Definition()]
    commented = False
    for line in path.read_text().splitlines():
        code, _, comment = (part.strip() for part in line.partition('#'))
        if code == '---':
            parts.append(Definition())
            commented = False
        elif not code:
            commented = bool(comment)
        else:
            kind, _, rest = code.partition(' ')
            name, is_constant, value = (part.strip() for part in rest.partition('='))
            if is_constant:
                parts[-1].constants[name] = int(value)
            else:
                parts[-1].fields[name] = kind
            # One comment may stand above several lines that belong together.
            if not (commented or comment):
                parts[-1].undocumented.append(name)
    return parts


def definition(name: str) -> Definition:
    return parse(ROOT / 'msg' / f'{name}.msg')[0]


def cmake_code() -> str:
    return re.sub(r'#.*', '', (ROOT / 'CMakeLists.txt').read_text())


def cmake_words(call: str) -> list[str]:
    """Return the arguments of the only call of a CMake function."""
    found = re.findall(rf'\b{call}\s*\(([^)]*)\)', cmake_code())
    assert len(found) == 1, f'{call} is called {len(found)} times'
    return [word.strip('"') for word in found[0].split()]


def package_dependencies() -> set[str]:
    root = ElementTree.parse(ROOT / 'package.xml').getroot()
    return {element.text or '' for element in root if element.tag.endswith('depend')}


@pytest.mark.parametrize('path', INTERFACES, ids=lambda path: path.stem)
def test_interface_is_well_formed(path: Path) -> None:
    parts = parse(path)
    assert len(parts) == (2 if path.suffix == '.srv' else 1)
    packages = package_dependencies()
    for part in parts:
        assert part.fields, 'an interface without fields'
        assert not part.undocumented, f'without a comment: {part.undocumented}'
        for name, kind in part.fields.items():
            assert FIELD_NAME.fullmatch(name), name
            base = re.sub(r'\[[^]]*\]$', '', kind)
            if base in PRIMITIVES:
                continue
            package, slash, _ = base.rpartition('/')
            if slash:
                assert package in packages, f'{path.name} uses {base}: not in package.xml'
            else:
                assert (ROOT / 'msg' / f'{base}.msg').is_file(), f'unknown type {base}'
        for name in part.constants:
            assert CONSTANT_NAME.fullmatch(name), name


def test_fields_are_those_of_the_documented_interface() -> None:
    expected = {
        'Instance': 'id phrase score roi mask',
        'InstanceArray': 'header instruction_id instruction answer height width instances',
        'Target': 'id phrase score status pose size centroid normal visible_points '
                  'valid_depth_ratio',
        'TargetArray': 'header instruction_id targets',
        'InstructionStatus': 'stamp instruction_id text source state message',
    }
    # The same message classes appear here as on the wire: a silent rename breaks every user.
    for name, names in expected.items():
        assert set(definition(name).fields) == set(names.split()), name
    request, response = parse(ROOT / 'srv' / 'SetInstruction.srv')
    assert set(request.fields) == {'text', 'source', 'hold'}
    assert set(response.fields) == {'accepted', 'instruction_id', 'message'}
    request, response = parse(ROOT / 'srv' / 'Segment.srv')
    assert set(request.fields) == {'text', 'image'}
    assert {'instances', 'targets'} <= set(response.fields)


def test_status_bits_equal_those_of_the_projector() -> None:
    bits = definition('Target').constants
    # Iterating over the class leaves out OK, which is 0 and no bit, from Python 3.11 on only.
    assert bits == {f'STATUS_{bit.name}': int(bit) for bit in TargetStatus if bit}
    assert all(value and value & (value - 1) == 0 for value in bits.values()), 'not single bits'
    assert len(set(bits.values())) == len(bits)
    assert max(bits.values()) < 2 ** 16, 'does not fit into uint16'


def test_instruction_states_are_numbered_without_gaps() -> None:
    states = definition('InstructionStatus').constants
    assert sorted(states.values()) == list(range(len(states)))
    assert [name.removeprefix('STATE_').lower() for name in states] == [
        'accepted', 'active', 'found', 'not_found', 'rejected', 'superseded', 'cleared']


def test_cmake_lists_exactly_the_interfaces() -> None:
    words = cmake_words('rosidl_generate_interfaces')
    split = words.index('DEPENDENCIES')
    assert sorted(words[1:split]) == sorted(
        path.relative_to(ROOT).as_posix() for path in INTERFACES)
    used = {kind.partition('/')[0] for path in INTERFACES for part in parse(path)
            for kind in part.fields.values() if '/' in kind}
    assert used == set(words[split + 1:])


def test_what_cmake_installs_exists() -> None:
    installs = re.findall(r'\binstall\s*\(\s*(\w+)\s+(.*?)\bDESTINATION', cmake_code(), re.DOTALL)
    assert {kind for kind, _ in installs} == {'DIRECTORY', 'PROGRAMS'}
    for kind, sources in installs:
        for source in sources.split():
            path = ROOT / source
            if kind == 'DIRECTORY':
                assert any(path.iterdir()), f'{source} is empty'
            else:
                assert path.is_file() and path.stat().st_mode & 0o111, f'{source}: not executable'


def test_cmake_finds_what_package_xml_declares() -> None:
    found = set(re.findall(r'find_package\s*\(\s*(\w+)', cmake_code()))
    assert found <= package_dependencies()


def test_package_xml_is_a_complete_format_3_manifest() -> None:
    root = ElementTree.parse(ROOT / 'package.xml').getroot()
    assert root.tag == 'package' and root.get('format') == '3'
    for tag in ('name', 'version', 'description', 'maintainer', 'license'):
        assert (root.findtext(tag) or '').strip(), tag
    assert root.findtext('name') == 'instructsam_ros'
    assert root.findtext('export/build_type') == 'ament_cmake'
    assert root.findtext('member_of_group') == 'rosidl_interface_packages'
    dependencies = package_dependencies()
    assert {'rosidl_default_generators', 'rosidl_default_runtime', 'ament_cmake'} <= dependencies
