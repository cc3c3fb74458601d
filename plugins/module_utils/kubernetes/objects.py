# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects of any kind, also of the core group, which the library's API for custom resources cannot reach."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import NotFoundError
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import (
    FIELD_MANAGER,
    REQUEST_TIMEOUT,
    KubernetesClient,
    NotServedError,
    Object,
    Resource,
    open_apis,
    translated,
)

with contextlib.suppress(ImportError):  # the module's boundary has named it before anything here runs
    import kubernetes.dynamic

PAGE = 500  # objects in one answer
NAMESPACES = Resource("", "v1", "namespaces", "Namespace")


class ObjectsClient(KubernetesClient):
    """A client that also reads and writes what is no custom resource. An empty namespace stands for none."""

    def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """The object, None when there is none."""
        try:
            return self._request("get", resource, _path(resource, namespace, name))
        except NotFoundError:
            return None

    def items(self, resource: Resource, namespace: str = "", label_selector: str = "") -> Iterator[Object]:
        """All objects of a kind that carry the labels, page by page. They lack ``apiVersion`` and ``kind``."""
        following = ""
        while True:
            page = self._request(
                "get",
                resource,
                _path(resource, namespace),
                limit=PAGE,
                label_selector=label_selector or None,
                _continue=following or None,
            )
            yield from page["items"]
            following = page["metadata"].get("continue", "")
            if not following:
                return

    def make(self, resource: Resource, body: Mapping[str, Any], namespace: str = "") -> Object:
        """Create an object from what it has beside its kind. Raises :class:`ConflictError` if the name is taken."""
        manifest = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return self._request("post", resource, _path(resource, namespace), body=manifest, field_manager=FIELD_MANAGER)

    def apply(
        self, resource: Resource, body: Mapping[str, Any], namespace: str = "", *, dry_run: bool = False
    ) -> Object:
        """Apply a manifest on the server's side as ours, also over what others set: the object as it then is.

        With ``dry_run`` the server tries everything, admission too, and keeps nothing.
        """
        return self._request(
            "patch",
            resource,
            _path(resource, namespace, body["metadata"]["name"]),
            body=dict(body),
            content_type="application/apply-patch+yaml",
            field_manager=FIELD_MANAGER,
            force_conflicts=True,
            dry_run="All" if dry_run else None,
            query_params=[("fieldValidation", "Strict")],
        )

    def remove(self, resource: Resource, name: str, namespace: str = "") -> None:
        """Delete an object, and what belongs to it afterwards; one that is not there is fine."""
        with contextlib.suppress(NotFoundError):
            self._request("delete", resource, _path(resource, namespace, name), propagation_policy="Background")

    def kinds(self, api_version: str) -> dict[str, tuple[Resource, bool]]:
        """The kinds of a group and version, and whether they are in namespaces; none if it is not served."""
        group, slash, version = api_version.rpartition("/")
        listing = Resource(group, version, "", "")
        try:
            found = self._request("get", listing, f"/{'apis' if slash else 'api'}/{api_version}")
        except NotServedError:
            return {}
        return {
            item["kind"]: (Resource(group, version, item["name"], item["kind"]), item["namespaced"])
            for item in found["resources"]
            if "/" not in item["name"]
        }

    def remove_namespaces(self, names: Sequence[str], timeout: float) -> None:
        """Delete namespaces with all that is in them, and return when they are gone.

        Raises :class:`TimedOutError` after ``timeout`` seconds, naming those that stay.
        """
        for name in names:
            with contextlib.suppress(NotFoundError):
                self._request("delete", NAMESPACES, _path(NAMESPACES, "", name))

        def probe() -> None:
            left = [name for name in names if self.find(NAMESPACES, name)]
            if left:
                raise NotYet(f"still there: {', '.join(left)}")

        wait_for("namespaces to be gone", probe, timeout=timeout, clock=self.clock)

    @functools.cached_property
    def _dynamic(self) -> Any:
        # without a discoverer, as nothing here has to be discovered
        return kubernetes.dynamic.DynamicClient(self._api.api_client, discoverer=lambda *unused: None)

    def _request(self, method: str, resource: Resource, path: str, **parameters: Any) -> Object:
        def call() -> Object:
            with translated(self.address, resource):
                answer = self._dynamic.request(
                    method, path, serialize=False, _request_timeout=REQUEST_TIMEOUT, **parameters
                )
                found: Object = json.loads(answer.data)
                return found

        return retrying(call, idempotent=method != "post", clock=self.clock)


def connect_objects(parameters: Mapping[str, Any]) -> ObjectsClient:
    """As :func:`connect` of the plain client."""
    return ObjectsClient(*open_apis(parameters))


def _path(resource: Resource, namespace: str, name: str = "") -> str:
    parts = ["apis" if resource.group else "api", resource.api_version]
    parts += ["namespaces", namespace] if namespace else []
    return "/" + "/".join([*parts, resource.plural, *([name] if name else [])])
