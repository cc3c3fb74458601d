# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The DigitalOcean API as the REST client sees it: its errors and its pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.arguments import ENVIRONMENT
from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import SYSTEM_CLOCK, Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.rest import (
    POLICY,
    Dialect,
    ErrorBody,
    RestClient,
    query_of,
)

LARGEST_PAGE = 200
_STATUS = {
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "precondition_failed": 412,
    "unprocessable_entity": 422,
    "too_many_requests": 429,
    "server_error": 500,
    "service_unavailable": 503,
}


def _error_in(document: Any) -> ErrorBody | None:
    """An error has a slug and a message beside each other; no object of the API has them at its top level."""
    if isinstance(document, Mapping) and isinstance(document.get("message"), str) and "id" in document:
        return ErrorBody(document["message"], _STATUS.get(str(document["id"])))
    return None


def _next_page(document: Any) -> Mapping[str, str] | None:
    link = ((document.get("links") or {}).get("pages") or {}).get("next")
    return query_of(link) if link else None


DIGITALOCEAN = Dialect(
    "DigitalOcean",
    _error_in,
    _next_page,
    refused_hint="Check that the token is valid and has the scopes for this call.",
)


def connect(options: Mapping[str, Any], clock: Clock = SYSTEM_CLOCK) -> RestClient:
    """A client with the options of :data:`DIGITALOCEAN_ARGUMENTS`. Raises :class:`InputError` without a token."""
    if not options["api_token"]:
        raise InputError(
            "The DigitalOcean token is missing.",
            hint=f"Give it as api_token, or in {' or '.join(ENVIRONMENT['api_token'])}.",
        )
    return RestClient(
        DIGITALOCEAN,
        options["api_url"],
        options["api_token"],
        verify=options["ca_cert"] or True,
        timeout=options["timeout"],
        policy=replace(POLICY, attempts=max(0, options["retries"]) + 1),
        clock=clock,
        connections=options["workers"],
    )
