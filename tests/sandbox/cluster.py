# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects of any kind in a cluster, as plain dictionaries: what the lab's controllers and set-up need of the API."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3 import Timeout

Object = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
PAGE = 200  # objects in one answer: bounds the memory of a list
REQUEST_TIMEOUT = (5.0, 60.0)  # seconds to connect, seconds between two bytes


@dataclass(frozen=True)
class Resource:
    """A kind of object as the API serves it, in the version that the server prefers."""

    group: str
    version: str
    name: str  # plural
    kind: str
    namespaced: bool
    aliases: frozenset[str] = frozenset()  # singular and short names
    verbs: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """``deployments.apps``, or ``pods`` for the core group."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def api_version(self) -> str:
        """What ``apiVersion`` says in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """Path of the collection (of all namespaces when none is given) or of one object."""
        parts = ["apis" if self.group else "api", self.api_version]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.name)
        if name:
            parts.append(name)
        return "/" + "/".join(parts)


class Cluster:
    """One API server. Every method raises ``kubernetes.client.exceptions.ApiException`` for what the server refuses,
    and an ``urllib3`` error where it cannot be reached. May be used by several threads."""

    def __init__(self, kubeconfig: Path, scratch: Path, manager: str) -> None:
        """``scratch``: a private directory for keys that the kubeconfig holds inline. ``manager``: owner of fields."""
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=settings, temp_file_path=str(scratch))
        settings.connection_pool_maxsize = 32
        self._client = client.ApiClient(settings)
        self._manager = manager

    def get(self, path: str) -> Object | None:
        """The object at ``path``, None when there is none."""
        try:
            return self._json("GET", path)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def pages(self, path: str, label_selector: str = "") -> Iterator[Object]:
        """The answers to a list request, page by page."""
        query = {"limit": str(PAGE), "labelSelector": label_selector}
        while True:
            page = self._json("GET", path, query)
            yield page
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return

    def items(self, path: str, label_selector: str = "") -> Iterator[Object]:
        """Every object of a collection. A list's items lack ``apiVersion`` and ``kind``: they get the list's."""
        for page in self.pages(path, label_selector):
            kind = page["kind"].removesuffix("List")
            for item in page["items"]:
                yield {"apiVersion": page["apiVersion"], "kind": kind, **item}

    def create(self, path: str, body: Object) -> Object:
        """Create an object in the collection at ``path``."""
        return self._json("POST", path, {"fieldManager": self._manager}, body)

    def merge_patch(self, path: str, patch: Object) -> Object:
        """JSON merge patch (RFC 7386): None removes a key, a list replaces."""
        return self._json("PATCH", path, {"fieldManager": self._manager}, patch, MERGE_PATCH)

    def apply(self, path: str, body: Object) -> Object:
        """Server-side apply; what others own and ``body`` sets is taken over."""
        return self._json("PATCH", path, {"fieldManager": self._manager, "force": "true"}, body, APPLY_PATCH)

    def delete(self, path: str, label_selector: str = "") -> None:
        """Delete an object, or of a collection what the selector matches. Nothing there is fine."""
        try:
            self._json("DELETE", path, {"labelSelector": label_selector})
        except ApiException as error:
            if error.status != 404:
                raise

    def watch(self, path: str, resource_version: str, seconds: int) -> Iterator[Object]:
        """Events (``type`` and ``object``) after ``resource_version``, for at most ``seconds``."""
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
            "allowWatchBookmarks": "true",
        }
        response = self._request("GET", path, query, timeout=(REQUEST_TIMEOUT[0], seconds + 30.0))
        with contextlib.closing(response):
            for line in response:
                yield json.loads(line)

    def version(self) -> Object:
        """``gitVersion``, ``major`` and ``minor`` of the server."""
        return self._json("GET", "/version")

    def resources(self) -> list[Resource]:
        """Everything the server offers, each resource once, core group first."""
        found: dict[str, Resource] = {}
        for root in ("/api", "/apis"):
            for group in self._json("GET", root, accept=DISCOVERY)["items"]:
                for resource in _of_group(group):
                    found.setdefault(str(resource), resource)
        return list(found.values())

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        response = self._request(method, path, query or {}, body, content_type, accept)
        try:
            answer: Object = json.loads(response.data)
        finally:
            response.release_conn()
        return answer

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: tuple[float, float] = REQUEST_TIMEOUT,
    ) -> Any:
        """The raw response of a request that succeeded."""
        _method, url, headers, _body, _form = self._client.param_serialize(
            method,
            path,
            query_params=[(name, value) for name, value in query.items() if value],
            header_params={"Accept": accept, "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        # written as Go writes it: of some data (ControllerRevision) the API compares the bytes
        content = None if body is None else json.dumps(body, separators=(",", ":"), sort_keys=True)
        response = self._client.rest_client.pool_manager.request(
            method,
            url,
            headers=headers,
            body=content,
            timeout=Timeout(connect=timeout[0], read=timeout[1]),
            preload_content=False,
        )
        if not 200 <= response.status <= 299:
            text = response.data.decode()
            raise ApiException(status=response.status, reason=response.reason, body=text)
        return response


def message_of(error: ApiException) -> str:
    """The server's own sentence of a refusal."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


def _of_group(group: Mapping[str, Any]) -> Iterable[Resource]:
    """The resources of one item of an APIGroupDiscoveryList; its versions come in the order of preference."""
    for version in group["versions"]:
        for resource in version.get("resources", ()):
            kind = resource.get("responseKind", {}).get("kind", "")
            yield Resource(
                group=group["metadata"].get("name", ""),
                version=version["version"],
                name=resource["resource"],
                kind=kind,
                namespaced=resource["scope"] == "Namespaced",
                aliases=frozenset([resource.get("singularResource", ""), *resource.get("shortNames", ())]),
                verbs=frozenset(resource["verbs"]),
            )
