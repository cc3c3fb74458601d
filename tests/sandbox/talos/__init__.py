# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Simulated Talos machines: the API, its TLS and its refusals are real, the machines behind it are not.

``python -m tests.sandbox.talos --directory DIRECTORY`` serves the machines of ``DIRECTORY/nodes.json``::

    {"version": "v1.13.9",              the Talos release that the machines boot from their first medium
     "nodes": [{"name": "cp-1", "address": "127.9.9.11"}, ...]}

and any field of :class:`~tests.sandbox.talos.hardware.Platform` and :class:`~tests.sandbox.talos.hardware.Hardware`.
What a machine keeps on its disk is kept below ``DIRECTORY/machines``; the rest dies with the process, as with power.
``DIRECTORY/control.sock`` is for tests; see :mod:`~tests.sandbox.talos.control`.
"""
