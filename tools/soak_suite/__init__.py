# SPDX-License-Identifier: Apache-2.0
"""tools/soak: random operations, faults and restarts, then an audit.

``weather`` breaks things, ``worker`` and ``actions`` are the users,
``things`` is what the users believe they have, ``cloud`` is the Cinder
with its array, ``judge`` decides at the end, ``report`` prints.
"""
