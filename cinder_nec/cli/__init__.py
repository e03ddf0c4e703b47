# SPDX-License-Identifier: Apache-2.0
"""The command ``cinder-nec``: what operators see and check.

It stands above the driver and reads the same ``cinder.conf``; nothing of
the driver imports it.  A new command is a class and a line under the entry
points ``cinder_nec.cli`` in ``setup.cfg``.
"""
