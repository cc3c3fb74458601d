# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is told of an Application, and why it is not what it should be."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.argocd.application import (
    LONGEST_MESSAGE,
    Goal,
    described,
    shortfalls,
)

COMMIT = "3f2a1bc9d0e8b7a6f5e4d3c2b1a09f8e7d6c5b4a"
SOURCE = {"repoURL": "https://git.example.com/infra.git", "path": "apps", "targetRevision": "main"}
DESTINATION = {"server": "https://kubernetes.default.svc", "namespace": "platform-apps"}
WEB = {"group": "apps", "kind": "Deployment", "namespace": "platform-apps", "name": "web"}


def application(**status: Any) -> dict[str, Any]:
    """One that is Synced and Healthy, but for what is given."""
    well = {
        "sync": synced("Synced"),
        "health": {"status": "Healthy"},
        "operationState": {"phase": "Succeeded", "message": "successfully synced"},
    }
    return {
        "metadata": {"name": "web", "namespace": "argocd"},
        "spec": {"project": "default", "source": dict(SOURCE), "destination": dict(DESTINATION)},
        "status": {**well, **status},
    }


def synced(status: str, **more: Any) -> dict[str, Any]:
    return {
        "status": status,
        "revision": COMMIT,
        "comparedTo": {"source": dict(SOURCE), "destination": dict(DESTINATION)},
        **more,
    }


def resource(number: int = 0, **state: Any) -> dict[str, Any]:
    return {**WEB, **({"name": f"web-{number}"} if number else {}), "version": "v1", **state}


CASES = {
    "well": (application(), []),
    "out of sync": (
        application(sync=synced("OutOfSync"), resources=[resource(status="OutOfSync", health={"status": "Healthy"})]),
        ["it is OutOfSync (Deployment platform-apps/web is OutOfSync)"],
    ),
    "bad revision": (
        application(
            sync=synced("Unknown"),
            conditions=[{"type": "ComparisonError", "message": "unable to resolve\n 'nowhere' to a commit SHA."}],
        ),
        ["it is Unknown (ComparisonError: unable to resolve 'nowhere' to a commit SHA)"],
    ),
    "a warning is no reason": (
        application(
            sync=synced("OutOfSync"), conditions=[{"type": "OrphanedResourceWarning", "message": "1 orphaned"}]
        ),
        ["it is OutOfSync"],
    ),
    "sync failed": (
        application(
            sync=synced("OutOfSync"),
            operationState={
                "phase": "Failed",
                "message": "one or more objects failed to apply",
                "syncResult": {"resources": [{**WEB, "status": "SyncFailed", "message": "quota exceeded"}]},
            },
            resources=[resource(status="OutOfSync")],
        ),
        [
            "it is OutOfSync (one or more objects failed to apply; "
            "Deployment platform-apps/web is OutOfSync: quota exceeded)"
        ],
    ),
    "degraded": (
        application(
            health={"status": "Degraded"},
            resources=[
                resource(status="Synced", health={"status": "Degraded", "message": "exceeded its deadline"}),
                resource(1, status="Synced", health={"status": "Healthy"}),
            ],
        ),
        ["its health is Degraded (Deployment platform-apps/web is Degraded: exceeded its deadline)"],
    ),
    "degraded, resources not told": (application(health={"status": "Degraded"}), ["its health is Degraded"]),
    "both": (
        application(
            sync=synced("OutOfSync"),
            health={"status": "Missing"},
            resources=[resource(status="OutOfSync", health={"status": "Missing"})],
        ),
        [
            "it is OutOfSync (Deployment platform-apps/web is OutOfSync and Missing)",
            "its health is Missing (Deployment platform-apps/web is OutOfSync and Missing)",
        ],
    ),
    "cluster-wide resource": (
        application(sync=synced("OutOfSync"), resources=[{"kind": "Namespace", "name": "apps", "status": "OutOfSync"}]),
        ["it is OutOfSync (Namespace apps is OutOfSync)"],
    ),
    "sync under way": (
        application(operationState={"phase": "Running", "message": "waiting for healthy state of hook"}),
        ["a sync is under way (waiting for healthy state of hook)"],
    ),
    "sync asked for": ({**application(), "operation": {"sync": {}}}, ["a sync is under way (successfully synced)"]),
    "never looked at": (
        {"metadata": {"name": "web"}, "spec": {"source": SOURCE, "destination": DESTINATION}},
        ["it was never compared", "it is Unknown", "its health is Unknown"],
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.row("GIT-07")
def test_shortfalls(case: str) -> None:
    found, expected = CASES[case]
    before = copy.deepcopy(found)
    assert shortfalls(found, Goal()) == expected
    assert found == before


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("source", {**SOURCE, "targetRevision": "other"}),
        ("source", {**SOURCE, "path": "elsewhere"}),
        ("destination", {**DESTINATION, "namespace": "platform-data"}),
    ],
)
def test_a_status_from_before_a_change_does_not_count(part: str, value: Any) -> None:
    found = application()
    found["spec"][part] = value
    assert shortfalls(found, Goal()) == ["it has changed and was not compared since"]


def test_fields_that_argo_cd_fills_in_are_no_change() -> None:
    found = application()
    found["status"]["sync"]["comparedTo"]["source"].update(chart="", directory={"recurse": False})
    found["status"]["sync"]["comparedTo"]["ignoreDifferences"] = []
    assert shortfalls(found, Goal()) == []


def test_several_sources_are_compared_one_by_one() -> None:
    sources = [dict(SOURCE), {"repoURL": "https://charts.example.com", "chart": "loki", "targetRevision": "1.2.3"}]
    found = application()
    found["spec"] = {"sources": copy.deepcopy(sources), "destination": DESTINATION}
    found["status"]["sync"] = {
        "status": "Synced",
        "revisions": [COMMIT, "1.2.3"],
        "comparedTo": {"sources": sources, "destination": DESTINATION},
    }
    assert shortfalls(found, Goal(revision="1.2.3")) == []
    assert shortfalls(found, Goal(revision="1.2")) == [f"it was compared with revision {COMMIT}, 1.2.3 and not 1.2"]
    found["spec"]["sources"][1]["targetRevision"] = "1.2.4"
    assert shortfalls(found, Goal()) == ["it has changed and was not compared since"]


def test_hydrated_sources_are_argo_cds_own() -> None:
    found = application()
    found["spec"] = {"sourceHydrator": {}, "destination": DESTINATION}
    assert shortfalls(found, Goal()) == []


def test_a_refresh_that_is_asked_for_is_waited_for() -> None:
    found = application()
    found["metadata"]["annotations"] = {"argocd.argoproj.io/refresh": "normal"}
    assert shortfalls(found, Goal()) == ["it is about to be compared anew"]


@pytest.mark.parametrize(
    ("revision", "ready"),
    [(COMMIT, True), (COMMIT[:7], True), (COMMIT[:6], False), ("0" * 40, False), ("", True)],
)
def test_revision(revision: str, ready: bool) -> None:
    assert (not shortfalls(application(), Goal(revision=revision))) is ready


@pytest.mark.parametrize(
    ("wanted", "number"),
    [(set(), 0), ({"synced"}, 1), ({"healthy"}, 1), ({"operation"}, 1), ({"synced", "healthy"}, 2)],
)
def test_only_what_is_wanted_counts(wanted: set[str], number: int) -> None:
    found = application(
        sync=synced("OutOfSync"), health={"status": "Degraded"}, operationState={"phase": "Running", "message": ""}
    )
    assert len(shortfalls(found, Goal(frozenset(wanted)))) == number


def test_many_resources_and_long_messages_are_cut() -> None:
    resources = [resource(number, status="OutOfSync") for number in range(1, 9)]
    condition = {"type": "SyncError", "message": "x" * 5000}
    (told,) = shortfalls(application(sync=synced("OutOfSync"), resources=resources, conditions=[condition]), Goal())
    assert "web-5 is OutOfSync; and 3 more" in told
    assert "web-6" not in told
    assert len(told) < 2 * LONGEST_MESSAGE


def test_described() -> None:
    failed = {**WEB, "kind": "Job", "name": "migrate", "hookPhase": "Failed", "message": "Job has reached the limit"}
    state = {
        "phase": "Failed",
        "message": "hook failed",
        "startedAt": "2026-11-21T10:00:00Z",
        "finishedAt": "2026-11-21T10:00:09Z",
        "retryCount": 2,
        "syncResult": {"revision": COMMIT, "resources": [failed, {**WEB, "status": "Synced", "message": "serverside"}]},
    }
    found = described(
        application(operationState=state, resources=[resource(status="Synced", health={"status": "Healthy"})]), Goal()
    )
    assert found == {
        "name": "web",
        "exists": True,
        "project": "default",
        "sync": "Synced",
        "health": "Healthy",
        "revisions": [COMMIT],
        "conditions": [],
        "operation": {
            "phase": "Failed",
            "message": "hook failed",
            "revision": COMMIT,
            "started": "2026-11-21T10:00:00Z",
            "finished": "2026-11-21T10:00:09Z",
            "retries": 2,
        },
        "resources": [
            {
                "group": "apps",
                "kind": "Job",
                "namespace": "platform-apps",
                "name": "migrate",
                "sync": "",
                "health": "",
                "message": "Job has reached the limit",
            }
        ],
        "ready": True,
        "reasons": [],
    }


def test_failures_of_a_sync_that_succeeded_in_the_end_are_not_told() -> None:
    state = {"phase": "Succeeded", "syncResult": {"resources": [{**WEB, "status": "SyncFailed", "message": "once"}]}}
    assert described(application(operationState=state), Goal())["resources"] == []


def test_described_before_the_first_comparison() -> None:
    found = described({"metadata": {"name": "web"}, "spec": {}}, Goal())
    assert (found["sync"], found["health"], found["operation"], found["ready"]) == ("Unknown", "Unknown", None, False)
