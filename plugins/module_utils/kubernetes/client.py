# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Custom resources of one cluster: read, written, and followed until they are what one waits for."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import SYSTEM_CLOCK, Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    PlatformError,
    RefusedError,
    TimedOutError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for

try:
    import kubernetes.client
    import kubernetes.config
    import kubernetes.watch
    import urllib3.exceptions
    import yaml
except ImportError:
    pass  # the module's boundary has named the missing library before anything here runs

Object = dict[str, Any]
Method = Callable[..., Any]
T = TypeVar("T")

SERVICE = "Kubernetes API"
FIELD_MANAGER = "dcm.platform"
REQUEST_TIMEOUT = (5.0, 30.0)  # seconds to connect, seconds between two bytes
WATCH_SECONDS = 30  # one watch; then the object is read again, should a silent connection have died
LONGEST_OUTAGE = 60.0  # seconds that a wait bears with a server that does not answer

TRANSIENT = (410, 429, 500, 502, 503, 504)


class NotServedError(RefusedError):
    """The server does not know the kind."""


@dataclass(frozen=True)
class Resource:
    """A kind of namespaced custom resource."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """What ``apiVersion`` says in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


class KubernetesClient:
    """Custom resources of the cluster at ``address``.

    Every method raises :class:`UnreachableError` when nobody answers, :class:`RefusedError` when the server says no.
    """

    def __init__(self, api: Any, patching: Any, address: str, clock: Clock = SYSTEM_CLOCK) -> None:
        """``api``, ``patching``: a ``kubernetes.client.CustomObjectsApi``; the second one sends merge patches."""
        self.address = address
        self.clock = clock
        self._api = api
        self._patching = patching

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object, None when there is none."""
        try:
            found: Object = self._repeatable(self._api.get_namespaced_custom_object, resource, namespace, name=name)
        except NotFoundError:
            return None
        return found

    def select(self, resource: Resource, namespace: str, label_selector: str = "") -> list[Object]:
        """All objects (that carry the labels), in one request (the server pages only for those who ask)."""
        answer = self._repeatable(
            self._api.list_namespaced_custom_object, resource, namespace, label_selector=label_selector
        )
        items: list[Object] = answer["items"]
        return items

    def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Object:
        """Create an object from its metadata and spec. Raises :class:`ConflictError` if the name is taken."""
        manifest = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        created: Object = retrying(
            lambda: self._call(
                self._api.create_namespaced_custom_object,
                resource,
                namespace,
                body=manifest,
                field_manager=FIELD_MANAGER,
            ),
            idempotent=False,
            clock=self.clock,
        )
        return created

    def merge_patch(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Object:
        """Change what ``patch`` names and nothing else (RFC 7386: None removes a key, a list replaces)."""
        patched: Object = self._repeatable(
            self._patching.patch_namespaced_custom_object,
            resource,
            namespace,
            name=name,
            body=patch,
            field_manager=FIELD_MANAGER,
        )
        return patched

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        """Delete the object; one that is not there is fine."""
        with contextlib.suppress(NotFoundError):
            self._repeatable(self._api.delete_namespaced_custom_object, resource, namespace, name=name)

    def follow(
        self, resource: Resource, namespace: str, name: str, examine: Callable[[Object | None], T], *, timeout: float
    ) -> T:
        """Show ``examine`` the object, then every change of it (None: it is gone), until it returns.

        It raises :class:`NotYet` to go on, with what it saw. Watches, so a change is seen at once; goes on when the
        watch is closed or too old. Raises :class:`TimedOutError` after ``timeout`` seconds, or when the server has not
        answered for a minute.
        """
        deadline = self.clock.now() + timeout
        answered = self.clock.now()

        def probe() -> T:
            nonlocal answered
            try:
                current = self.get(resource, namespace, name)
            except UnreachableError as error:
                if self.clock.now() - answered >= LONGEST_OUTAGE:
                    raise TimedOutError(error.message, hint=error.hint) from error
                raise
            answered = self.clock.now()
            seconds = math.ceil(min(deadline - answered, WATCH_SECONDS))
            with contextlib.closing(self._states(resource, namespace, current, max(1, seconds))) as states:
                for state in states:
                    try:
                        return examine(state)
                    except NotYet as reason:
                        last = reason
            raise last

        what = f"{resource.kind} {namespace}/{name}"
        return wait_for(what, probe, timeout=timeout, interval=0.5, clock=self.clock)

    def _states(
        self, resource: Resource, namespace: str, current: Object | None, seconds: int
    ) -> Generator[Object | None]:
        """The object as it is, then as each event of one watch shows it."""
        yield current
        if current is None:
            return
        metadata = current["metadata"]
        stream = kubernetes.watch.Watch().stream(
            self._api.list_namespaced_custom_object,
            group=resource.group,
            version=resource.version,
            namespace=namespace,
            plural=resource.plural,
            field_selector=f"metadata.name={metadata['name']}",
            resource_version=metadata["resourceVersion"],
            timeout_seconds=seconds,
            _request_timeout=(REQUEST_TIMEOUT[0], seconds + REQUEST_TIMEOUT[0]),
        )
        # a watch may end at any time, also with "410 Gone": the caller reads again and watches from there
        with contextlib.closing(stream), contextlib.suppress(TransientError), translated(self.address, resource):
            for event in stream:
                yield None if event["type"] == "DELETED" else event["raw_object"]

    def _repeatable(self, method: Method, resource: Resource, namespace: str, **arguments: Any) -> Any:
        return retrying(lambda: self._call(method, resource, namespace, **arguments), idempotent=True, clock=self.clock)

    def _call(self, method: Method, resource: Resource, namespace: str, **arguments: Any) -> Any:
        with translated(self.address, resource):
            return method(
                group=resource.group,
                version=resource.version,
                namespace=namespace,
                plural=resource.plural,
                _request_timeout=REQUEST_TIMEOUT,
                **arguments,
            )


def connect(parameters: Mapping[str, Any]) -> KubernetesClient:
    """A client from the options of ``KUBERNETES_ARGUMENTS``; sends nothing yet.

    Raises :class:`InputError` for a kubeconfig or a URL that cannot be used.
    """
    return KubernetesClient(*open_apis(parameters))


def open_apis(parameters: Mapping[str, Any]) -> tuple[Any, Any, str]:
    """What a client is made of: the two APIs, and the address. Raises what :func:`connect` raises."""
    if parameters["host"] and not parameters["host"].startswith(("https://", "http://")):
        raise InputError(f"host: {parameters['host']!r} is not a URL such as https://192.0.2.1:6443.")
    configuration = kubernetes.client.Configuration()
    if not (parameters["host"] and parameters["api_key"]):
        _load(configuration, parameters["kubeconfig"], parameters["context"])
    if parameters["host"]:
        configuration.host = parameters["host"].rstrip("/")
    if parameters["api_key"]:
        configuration.api_key = {"authorization": f"Bearer {parameters['api_key']}"}
    if parameters["ca_cert"]:
        configuration.ssl_ca_cert = parameters["ca_cert"]
    if parameters["validate_certs"] is not None:
        configuration.verify_ssl = parameters["validate_certs"]
    configuration.retries = False  # ours are bounded, and know what may be repeated
    api = kubernetes.client.CustomObjectsApi(kubernetes.client.ApiClient(configuration))
    patching = kubernetes.client.CustomObjectsApi(kubernetes.client.ApiClient(configuration))
    # older versions of the library cannot set it for a single request
    patching.api_client.set_default_header("Content-Type", "application/merge-patch+json")
    return api, patching, configuration.host


def _load(configuration: Any, kubeconfig: str | None, context: str | None) -> None:
    """Fill the configuration as kubernetes.core does: a named file or context, else the pod's own, else the default."""
    try:
        if not (kubeconfig or context):
            with contextlib.suppress(kubernetes.config.ConfigException):
                kubernetes.config.load_incluster_config(client_configuration=configuration)
                return
        kubernetes.config.load_kube_config(kubeconfig, context, configuration, persist_config=False)
    except (kubernetes.config.ConfigException, OSError) as error:
        reason = str(error)
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        reason = "it is not a kubeconfig"  # the parser's own words may quote a line with a token
    else:
        return
    raise InputError(
        f"The kubeconfig {kubeconfig or '~/.kube/config'} cannot be used: {reason.rstrip('.')}.",
        hint="Set kubeconfig (K8S_AUTH_KUBECONFIG) and context, or host and api_key.",
    )


@contextlib.contextmanager
def translated(address: str, resource: Resource) -> Iterator[None]:
    """The library's errors as the engine's, with the server's address. Raises what :func:`refusal` and
    :func:`unreachable` return.
    """
    try:
        yield
    except kubernetes.client.exceptions.ApiException as error:
        raise refusal(error, address, resource) from error
    except urllib3.exceptions.HTTPError as error:
        raise unreachable(error, address) from error


def refusal(error: Any, address: str, resource: Resource) -> PlatformError:
    """What an ``ApiException`` of the kubernetes library means."""
    where = f"{SERVICE} at {address}"
    answer = _status(error)
    text = f"{where} refuses: {answer.get('message') or error.reason}".rstrip(".") + "."
    if not error.status:
        reason = str(error.reason).replace("\n", ": ")
        return RefusedError(f"No TLS with {where}: {reason}.", hint="Check ca_cert, host and validate_certs.")
    if error.status == 401:
        return RefusedError(
            f"{where} does not accept the credentials.", hint="Check kubeconfig, context and api_key; tokens expire."
        )
    if error.status == 404 and "kind" not in answer:
        return NotServedError(
            f"{where} does not serve {resource} ({resource.api_version}).",
            hint="Check that this is the right cluster and that what brings this kind is installed there.",
        )
    if error.status == 404:
        return NotFoundError(text)
    if error.status == 409:
        return ConflictError(text)
    if error.status in TRANSIENT and "failed to create typed patch object" not in text:  # its word for a wrong field
        wait = (error.headers or {}).get("Retry-After", "")
        # 429 comes before the request is looked at, so it had no effect
        return TransientError(text, retry_after=float(wait) if wait.isdigit() else None, sent=error.status != 429)
    return RefusedError(text)


def _status(error: Any) -> Mapping[str, Any]:
    """The Status object of an answer; empty when the answer is none, as for a path that is not served."""
    try:
        answer = json.loads(error.body)
    except (TypeError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def unreachable(error: Any, address: str) -> UnreachableError:
    """What an error of urllib3 means."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and cause.strerror:
        reason = cause.strerror
    elif isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        reason = f"no connection within {REQUEST_TIMEOUT[0]:g} s"
    elif isinstance(error, urllib3.exceptions.ReadTimeoutError):
        reason = "no answer in time"
    else:
        reason = "the connection broke"
    not_sent = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return UnreachableError(SERVICE, address, reason, sent=not isinstance(error, not_sent))
