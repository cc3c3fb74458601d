# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The stand-in's object stores and archives."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.cluster import Object
from tests.sandbox.velero import archive
from tests.sandbox.velero.archive import Key, Spool
from tests.sandbox.velero.journal import VELERO, Journal
from tests.sandbox.velero.storage import StorageError, keys_of, store_settings

CREDENTIALS = "[default]\naws_access_key_id = AK\naws_secret_access_key=SK\n[other]\naws_access_key_id=A\n"


def secret(name: str, key: str) -> bytes:
    values = {
        ("cloud-credentials", "cloud"): CREDENTIALS.encode(),
        ("mine", "file"): b"[p]\naws_access_key_id=MA\naws_secret_access_key=MS\n",
        ("ca", "crt"): b"PEM",
    }
    try:
        return values[name, key]
    except KeyError:
        raise StorageError(f"no {name}/{key}") from None


def location(storage: Object | None = None, **spec: Any) -> Object:
    return {"spec": {"provider": "aws", "objectStorage": {"bucket": "b", **(storage or {})}, **spec}}


def test_a_plain_location() -> None:
    found = store_settings(location({"prefix": "/p/"}), secret)
    assert (found.bucket, found.prefix, found.access_key, found.secret_key) == ("b", "p", "AK", "SK")
    assert (found.region, found.endpoint, found.path_style, found.verify) == ("us-east-1", None, False, True)


def test_a_location_with_everything() -> None:
    options = {
        "region": "nyc3",
        "s3Url": "http://in",
        "publicUrl": "http://out",
        "s3ForcePathStyle": "true",
        "insecureSkipTLSVerify": "true",
        "profile": "p",
    }
    found = store_settings(
        location(
            {"caCertRef": {"name": "ca", "key": "crt"}}, config=options, credential={"name": "mine", "key": "file"}
        ),
        secret,
    )
    assert (found.access_key, found.secret_key, found.authority) == ("MA", "MS", b"PEM")
    assert (found.endpoint, found.public_endpoint, found.path_style, found.verify) == (
        "http://in",
        "http://out",
        True,
        False,
    )


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"spec": {"provider": "gcp"}}, "unable to locate ObjectStore plugin named velero.io/gcp"),
        ({"spec": {"provider": "aws", "objectStorage": {}}}, "bucket name must not be empty"),
        (location(config={"s3url": "x"}), "config has invalid keys [s3url]; valid keys are [region s3Url"),
        (location(credential={"name": "none", "key": "k"}), "no none/k"),
        (location(config={"profile": "unknown"}), "the credentials file has no profile unknown with a key pair"),
        (location(config={"profile": "other"}), "the credentials file has no profile other with a key pair"),
        (
            location({"caCert": base64.b64encode(b"x").decode(), "caCertRef": {"name": "ca", "key": "crt"}}),
            "cannot specify both caCert and caCertRef",
        ),
        (location({"caCert": "%"}), "caCert is not base64"),
    ],
)
def test_locations_that_cannot_be_used(given: Object, error: str) -> None:
    with pytest.raises(StorageError) as refusal:
        store_settings(given, secret)
    assert error in str(refusal.value)


def test_a_damaged_credentials_file_is_not_shown() -> None:
    with pytest.raises(StorageError) as refusal:
        keys_of("very secret", "default")
    assert "very secret" not in str(refusal.value)


ITEMS = {
    Key("configmaps", "a", "x.y"): {"kind": "ConfigMap", "metadata": {"name": "x.y"}},
    Key("nodes", "", "n"): {"kind": "Node", "metadata": {"name": "n"}},
    Key("deployments.apps", "a", "d"): {"kind": "Deployment", "metadata": {"name": "d"}},
}


def written() -> io.BytesIO:
    spool, file = Spool(io.BytesIO()), io.BytesIO()
    for key, item in ITEMS.items():
        spool.add(key, item)
    assert list(spool) == list(ITEMS)
    archive.write(file, ((key, spool.content(key)) for key in spool))
    return file


def test_the_tree_of_an_archive() -> None:
    file = written()
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:gz") as tar:
        assert tar.getnames() == [
            "metadata/version",
            "resources/configmaps/namespaces/a/x.y.json",
            "resources/nodes/cluster/n.json",
            "resources/deployments.apps/namespaces/a/d.json",
        ]
        version = tar.extractfile("metadata/version")
        assert version is not None
        assert version.read() == b"1.1.0"


def test_an_archive_is_read_as_it_was_written(tmp_path: Path) -> None:
    with archive.reading(written(), tmp_path) as reader:
        assert reader.resources() == {"configmaps", "nodes", "deployments.apps"}
        assert {key: reader.read(key) for resource in reader.resources() for key in reader.keys(resource)} == ITEMS
        assert Key("nodes", "", "other") not in reader
    assert not list(tmp_path.iterdir())


def test_a_damaged_archive_is_an_error(tmp_path: Path) -> None:
    with pytest.raises((OSError, tarfile.TarError)), archive.reading(io.BytesIO(b"nothing"), tmp_path):
        pass
    with (
        pytest.raises((OSError, tarfile.TarError)),
        archive.reading(io.BytesIO(gzip.compress(b"x" * 600)), tmp_path),
    ):
        pass


def test_the_resource_list() -> None:
    triples = [("v1/Pod", "b", "y"), ("v1/Pod", "a", "x"), ("v1/Node", "", "n")]
    assert archive.resource_list(triples) == {"v1/Node": ["n"], "v1/Pod": ["a/x", "b/y"]}


def test_results_and_log() -> None:
    journal = Journal("backup=velero/b")
    journal.info("begun")
    journal.error("of no object", VELERO)
    journal.error("of the cluster", "")
    journal.warning("of a namespace", "a")
    assert journal.results() == {
        "errors": {"velero": ["of no object"], "cluster": ["of the cluster"]},
        "warnings": {"namespaces": {"a": ["of a namespace"]}},
    }
    assert (len(journal.errors), len(journal.warnings)) == (2, 1)
    lines = gzip.decompress(journal.log_gzip()).decode().splitlines()
    assert [line.split()[1] for line in lines] == ["level=info", "level=error", "level=error", "level=warning"]
    assert lines[0].endswith('msg="begun" backup=velero/b')
