# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Password verifiers: the figures of the standards and of PostgreSQL's own library."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.postgres import scram
from hypothesis import given, settings
from hypothesis import strategies as st

# Made by libpq 16 (PQencryptPasswordConn) from passwords that take every branch of SASLprep.
FROM_LIBPQ = {
    "pencil": (
        "SCRAM-SHA-256$4096:Riaj5yVrKhe7eiHYYCGEDQ==$"
        "n03bUgS98cS5IJJ6rEQUdNJoPRW2Riqk+fgXPRd3FHM=:/SMol+3y4WtmvW61WyL93VkVfdzV0nq47BC+I+fWm7A="
    ),
    "I\xadX": (
        "SCRAM-SHA-256$4096:OLIY6h02kFI2KEbD5U8fCQ==$"
        "Yavn/pxTD1SKFywtva/mPUREDbuOBfcI2QEKcjaIgpA=:olkYxIhXGAPUm++X3fZ5CzaTeTp1odO2mAdZWgujV1E="
    ),
    "\xaa": (
        "SCRAM-SHA-256$4096:XaZ2keXdqD7eZh3Pwkzlfg==$"
        "YwU6NEck2Wnq5g65nrmCJ8uHrrhYQIaGEXiIEy0FvYg=:YNNO1WUU3x54I5stD4U4X+RONBPitlJGdwMPYgF3yIk="
    ),
    "\u2168": (
        "SCRAM-SHA-256$4096:GoM04zktbrcV2dGAGIhdSg==$"
        "EqD13X34V1gs1GUw2UMS0m/v2je2xAjLjw66gXtFgIo=:cjyIaR0O7/ppbY2wYK5hlINe51+BF2gwaL78yIeiOD4="
    ),
    "a\xa0b": (
        "SCRAM-SHA-256$4096:/CKSr/p+faKBSx9ve5z4tw==$"
        "iLztOh36fVA/g21lMXwvQHjIEoDe6JQ3Jr36EsU24JU=:XTIkgL9g1qaEkKJYZ8khJZ7Z6Z16feO3+DBb+zsongU="
    ),
    "a\u200bb": (
        "SCRAM-SHA-256$4096:LeeH6oX0M5c4cwagHiZOeA==$"
        "quQezVqlrq+ydjsqdseiEI/oLQpT3GugwwqHdcqhqIY=:F3/izsfyeGIQSgSw0S66Q07qgj+pYH+YugwDqzhnakc="
    ),
    "\u06271": (
        "SCRAM-SHA-256$4096:PeEZJFgK/WEbxUsT31+29g==$"
        "SI90NsIksUCTQT5SCK2Y9K5rGnNSJ9n+fhgBqFlEhUQ=:xvNagMAD1rwgs1dfukrNMxDJPS95M+kq2ioUv6mZEc8="
    ),
    "\u0627\u0628": (
        "SCRAM-SHA-256$4096:P7T2gtabdt2oFm/wZSm60Q==$"
        "5BDbIrXW1r1vqX0VgtIZtPDJIqxcnXQ++Dbp8zme37U=:NBaFTVdgOhTkq+wPmMV7Enf2rtyazlHl/5Zek5uHhxA="
    ),
    "\u0627b": (
        "SCRAM-SHA-256$4096:U2g24szBtfT1dioGBIWbDg==$"
        "IjtUW2/jb1GCpVRGaVfdBsq9tlTiLmIXv3vVUAbhdYE=:TG5qJLrE7jj9Acg/t9YJ6QOLGaEMllK5zR1oquzEdpY="
    ),
    "caf\xe9\x07": (
        "SCRAM-SHA-256$4096:gMLvg/PALgShzmfmze7+Lw==$"
        "pdgt7o9trqgxXkWKpmbRVA0773fI/0Ob74CCIlK0swo=:C1ZOhc7fYacZ1zxGPX6wCLs4DpDzb+bLtRqcybMqdnA="
    ),
    "x\u0340": (
        "SCRAM-SHA-256$4096:5bUnQmH4K4a4a61kyXo1HQ==$"
        "VMC4ZT5M304fckmykqsIiG6nWP0N48qt1T2xwcbOkaQ=:xmNvGS97yFhGrOB1vHhsXicVlMO4nFP8G2Is2bJUg8o="
    ),
    "\u2097": (
        "SCRAM-SHA-256$4096:MpCPXvMxd+X8fkTMLNnz5Q==$"
        "q/SsR0sjoMwfhGsoJvmjZ/gqOWxt2ajuuJebHFZT0Vc=:DGdWBNl8aAPdslz7gIRw1riYwoz/+/+82QTH8U/b1CY="
    ),
    "\ufb01": (
        "SCRAM-SHA-256$4096:Qq7Mbyu26bPsBInWOKk26Q==$"
        "xwGkZ/Z0qCXEnC/3loOtOqyjD/CC1Jz8SyWL2tyGaAc=:+d3AgHV9sjkpwcgWX/KU0LqcfuVecVV91ef9K08f3nM="
    ),
    "\xad": (
        "SCRAM-SHA-256$4096:f8juvMsOpTEhmQ7RFfVEcA==$"
        "AU3m4LZaxe11CbysRoS6lB3Eo58tzzasXwLwzc2WnrY=:8FBv0JIC/l12xS0EQOEKYwcOuPW5CF93205nMofBCSg="
    ),
    "\U0001f511": (
        "SCRAM-SHA-256$4096:Bs003M/J5UGaDg9xc6jdfA==$"
        "/p55XAdxse2s25yjYQsT2wKjnyaMglnCOKZexGC+9OQ=:RdO3UZ12ADUDmrM/nHtcWZ7oOlUEtxu01rBJMXHSNcU="
    ),
}


@pytest.mark.parametrize("password", FROM_LIBPQ, ids=ascii)
def test_verifiers_of_postgresqls_own_library_match(password: str) -> None:
    assert scram.matches(password, FROM_LIBPQ[password])
    assert not scram.matches(password + "x", FROM_LIBPQ[password])


def test_the_keys_are_those_of_the_standard() -> None:
    """The example of RFC 7677, as far as it tells: salt, iterations, and the server's signature of its exchange."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    verifier = scram._verifier("pencil", salt, 4096)
    server_key = base64.b64decode(verifier.rpartition(":")[2])
    exchange = (
        "n=user,r=rOprNGfwEbeRWgbNEkqO,"
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = hmac.digest(server_key, exchange.encode(), hashlib.sha256)
    assert base64.b64encode(signature).decode() == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@settings(max_examples=20, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_a_verifier_matches_its_password_and_has_a_salt_of_its_own(password: str) -> None:
    one, other = scram.make_verifier(password), scram.make_verifier(password)
    assert one != other
    assert scram.matches(password, one)
    assert password not in one or len(password) < 8


@pytest.mark.parametrize(
    "stored", ["", "md5" + "0" * 32, "SCRAM-SHA-256$x:y$z:z", "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA\n"]
)
def test_verifiers_of_another_kind_match_nothing(stored: str) -> None:
    assert not scram.matches("secret", stored)
