# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values against argument specifications: every problem, with its path."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.inventory.specification import Problem, check_options

OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True, "description": ["The name.", "More."]},
    "size": {"type": "int"},
    "ratio": {"type": "float"},
    "on": {"type": "bool"},
    "mode": {"type": "str", "choices": ["a", "b"]},
    "token": {"type": "str", "no_log": True, "choices": ["x"]},
    "anything": {"type": "raw"},
    "tags": {"type": "list", "elements": "str"},
    "guilds": {
        "type": "list",
        "elements": "dict",
        "options": {"id": {"type": "str", "required": True}, "limit": {"type": "int"}},
    },
    "tier": {"type": "dict", "options": {"limit": {"type": "int", "required": True}}},
}


@pytest.mark.row("COL-06")
@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({"name": "a"}, []),
        ({}, [Problem("name", "missing: The name.")]),
        ({"name": None}, [Problem("name", "missing: The name.")]),
        ({"name": "a", "size": "5", "ratio": "1.5", "on": "yes", "anything": object}, []),
        ({"name": ["a"]}, [Problem("name", "must be text, is a list (not shown)")]),
        ({"name": True}, [Problem("name", "must be text, is the truth value True")]),
        ({"name": "a", "size": "five"}, [Problem("size", "must be a whole number, is the text 'five'")]),
        ({"name": "a", "size": True}, [Problem("size", "must be a whole number, is the truth value True")]),
        ({"name": "a", "ratio": "x"}, [Problem("ratio", "must be a number, is the text 'x'")]),
        ({"name": "a", "on": "perhaps"}, [Problem("on", "must be true or false, is the text 'perhaps'")]),
        ({"name": "a", "mode": "c"}, [Problem("mode", "must be one of a, b, is 'c'")]),
        ({"name": "a", "token": "hunter22"}, [Problem("token", "must be one of x, is (not shown)")]),
        ({"name": "a", "tags": "x"}, [Problem("tags", "must be a list, is the text 'x'")]),
        ({"name": "a", "tags": ["x", {}]}, [Problem("tags[1]", "must be text, is a dictionary (not shown)")]),
        ({"name": "a", "tier": {}}, [Problem("tier.limit", "missing: it has no default")]),
        (
            {"name": "a", "guilds": [{"id": "1"}, {"limit": "x"}, {"id": "2", "limits": 1}]},
            [
                Problem("guilds[1].id", "missing: it has no default"),
                Problem("guilds[1].limit", "must be a whole number, is the text 'x'"),
                Problem("guilds[2].limits", "unknown key; did you mean limit?"),
            ],
        ),
    ],
)
def test_problems(values: dict[str, Any], problems: list[Problem]) -> None:
    assert list(check_options(OPTIONS, values)) == problems


def test_the_variable_of_a_path_is_its_first_part() -> None:
    assert [Problem(key, "").variable for key in ("a", "a.b", "a[0].b", "a[0]")] == ["a"] * 4
