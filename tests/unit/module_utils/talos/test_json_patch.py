# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""JSON patches, by the examples of RFC 6902."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.json_patch import apply_operations


@pytest.mark.parametrize(
    ("document", "operations", "result"),
    [
        ({"a": 1}, [], {"a": 1}),
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["a"]}], {"foo": ["bar", ["a"]]}),
        ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"x": {}}}], {"foo": "bar", "child": {"x": {}}}),
        ({"baz": 1, "foo": 2}, [{"op": "remove", "path": "/baz"}], {"foo": 2}),
        ({"foo": [1, 2, 3]}, [{"op": "remove", "path": "/foo/1"}], {"foo": [1, 3]}),
        ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        ({"foo": [1, 2]}, [{"op": "replace", "path": "/foo/1", "value": 9}], {"foo": [1, 9]}),
        (
            {"foo": {"bar": "x", "waldo": "fred"}, "qux": {}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "x"}, "qux": {"thud": "fred"}},
        ),
        ({"foo": ["a", "b", "c"]}, [{"op": "move", "from": "/foo/0", "path": "/foo/2"}], {"foo": ["b", "c", "a"]}),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a": [1]}, [{"op": "test", "path": "/a", "value": [1]}, {"op": "remove", "path": "/a"}], {}),
        (
            {"a/b": 1, "m~n": 2},
            [{"op": "remove", "path": "/a~1b"}, {"op": "test", "path": "/m~0n", "value": 2}],
            {"m~n": 2},
        ),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ],
)
def test_operations(document: Any, operations: Any, result: Any) -> None:
    assert apply_operations(document, operations) == result


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([{"op": "frobnicate", "path": "/a"}], "operation 1: op must be one of add, copy, move, remove, replace, test"),
        (["remove"], "op must be one of"),
        ([{"op": "add", "path": "/x"}], "add needs value"),
        ([{"op": "move", "path": "/x"}], "move needs from"),
        ([{"op": "remove", "path": "a"}], "is not a JSON pointer"),
        ([{"op": "remove", "path": "/b"}], "/b: there is no 'b'"),
        ([{"op": "replace", "path": "/b", "value": 1}], "/b: there is no 'b'"),
        ([{"op": "add", "path": "/b/c", "value": 1}], "/b/c: there is no 'b'"),
        ([{"op": "add", "path": "/a/c", "value": 1}], "/a/c: its parent is neither a mapping nor a list"),
        ([{"op": "add", "path": "/list/4", "value": 1}], "there is no element 4"),
        ([{"op": "add", "path": "/list/01", "value": 1}], "'01' is not an index"),
        ([{"op": "remove", "path": "/list/-"}], "'-' is not an index"),
        ([{"op": "move", "from": "/map", "path": "/map/x"}], "cannot be moved into itself"),
        (
            [{"op": "remove", "path": "/a"}, {"op": "test", "path": "/map", "value": 7}],
            "operation 2: /map does not have",
        ),
        ([{"op": "remove", "path": ""}], "do not leave a mapping"),
        ([{"op": "replace", "path": "", "value": []}], "do not leave a mapping"),
    ],
)
def test_refused(operations: Any, message: str) -> None:
    document = {"a": 1, "list": [1], "map": {}}
    with pytest.raises(InputError) as caught:
        apply_operations(document, operations)
    assert message in str(caught.value)
    assert document == {"a": 1, "list": [1], "map": {}}
