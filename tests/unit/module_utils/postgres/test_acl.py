# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Access control items as PostgreSQL writes them."""

from __future__ import annotations

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.postgres.acl import PUBLIC, privileges, shown
from hypothesis import given
from hypothesis import strategies as st

EVERYTHING_ON_TABLES = {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], {}),
        (["g_1_app=U/g_1_owner"], {"g_1_app": {"USAGE"}}),
        (["=Tc/postgres"], {PUBLIC: {"TEMPORARY", "CONNECT"}}),
        (["a=r*w/o"], {"a": {"SELECT WITH GRANT OPTION", "UPDATE"}}),
        (["a=r/o", "a=w/b", "b=X/o"], {"a": {"SELECT", "UPDATE"}, "b": {"EXECUTE"}}),
        (["a=/o"], {}),
        (['"PUBLIC"=U/o'], {"PUBLIC": {"USAGE"}}),
        (['"say ""a=b/c"""=U/"o=w/x"'], {'say "a=b/c"': {"USAGE"}}),
        (["16385=UC/10"], {"16385": {"USAGE", "CREATE"}}),
        (
            ["a=rawdDxtm/o"],
            {"a": ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"]},
        ),
        (["a=Z/o"], {"a": {"Z"}}),  # a privilege of a server to come is at least seen
    ],
)
def test_items_are_read(items: list[str], expected: dict[str, set[str]]) -> None:
    assert privileges(items) == {grantee: frozenset(words) for grantee, words in expected.items()}


@given(st.text(min_size=1))
def test_any_name_in_quotes_is_read(name: str) -> None:
    quoted = name.replace('"', '""')
    assert privileges([f'"{quoted}"=U*/"{quoted}"']) == {name: {"USAGE WITH GRANT OPTION"}}


def test_what_is_no_item_is_an_error() -> None:
    with pytest.raises(ValueError, match="not an access control item"):
        privileges(["nonsense"])


def test_public_is_shown_by_its_name() -> None:
    assert shown({"b": frozenset({"USAGE", "CREATE"}), PUBLIC: frozenset({"CONNECT"})}) == {
        "PUBLIC": ["CONNECT"],
        "b": ["CREATE", "USAGE"],
    }
