# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Imported where playbooks are forked from: what every run, and every task with a filter, would load for itself."""

from __future__ import annotations

import importlib
import warnings

from ansible.plugins import loader

from tests.staging import ROOT

warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
loader.init_plugin_loader()
for plugins in (
    loader.action_loader,
    loader.become_loader,
    loader.cache_loader,
    loader.callback_loader,
    loader.connection_loader,
    loader.filter_loader,
    loader.inventory_loader,
    loader.lookup_loader,
    loader.shell_loader,
    loader.strategy_loader,
    loader.test_loader,
):
    list(plugins.all(class_only=True))
for kind in ("action", "filter", "lookup", "plugin_utils", "test"):
    for path in (ROOT / "plugins" / kind).glob("[!_]*.py"):
        importlib.import_module(f"ansible_collections.dcm.platform.plugins.{kind}.{path.stem}")
