# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A stand-in for Velero's server, which cannot be had here: the kinds, phases, texts and files of release 1.18.

It really stores the objects of a backup in S3 and really restores them. It moves no volume data, runs no hooks and
knows no plugin but the object store ``aws``; a restore that needs resource modifiers is refused. Where Velero looks
once a minute or an hour, it looks every few seconds (:class:`tests.sandbox.velero.context.Periods`).
"""
