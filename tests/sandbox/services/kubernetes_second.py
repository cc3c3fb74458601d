# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A second cluster like the first one, for what spans two."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping

from tests.sandbox.service import LabError, Process, Progress, Settings
from tests.sandbox.services.kubernetes import KubernetesService


class SecondKubernetesService(KubernetesService):
    """The same programs with ports, keys and data of its own. Settings: as of the first."""

    name = "kubernetes_second"
    optional = True

    def build(self, progress: Progress) -> None:
        """Link the programs. Raises :class:`LabError` where the first cluster is a given one."""
        if os.environ.get("DCM_LAB_KUBECONFIG"):
            raise LabError("DCM_LAB_KUBECONFIG names one cluster: the lab has no second one then; unset it")
        super().build(progress)

    def settings(self) -> Settings:
        return {**super().settings(), "context": "dcm-lab-second"}

    def processes(self, settings: Settings) -> Iterable[Process]:
        return [dataclasses.replace(process, name=f"second-{process.name}") for process in super().processes(settings)]

    @classmethod
    def environment(cls, settings: Settings) -> Mapping[str, str]:
        """None: ``KUBECONFIG`` is the first cluster's."""
        return {}
