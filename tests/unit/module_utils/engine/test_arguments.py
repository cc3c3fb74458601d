# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Argument specifications compose with their constraints."""

from __future__ import annotations

from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments, waiting


def test_parts_join_with_their_constraints() -> None:
    left = Arguments({"a": {"type": "str"}}, mutually_exclusive=(("a", "b"),), required_by={"a": ("b",)})
    right = Arguments({"b": {"type": "str"}}, required_together=(("a", "b"),), required_one_of=(("a", "b"),))
    assert (left | right | waiting(60)).for_module() == {
        "argument_spec": {
            "a": {"type": "str"},
            "b": {"type": "str"},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 60},
        },
        "mutually_exclusive": [["a", "b"]],
        "required_together": [["a", "b"]],
        "required_one_of": [["a", "b"]],
        "required_if": [],
        "required_by": {"a": ["b"]},
    }
