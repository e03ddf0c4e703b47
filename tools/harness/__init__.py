# SPDX-License-Identifier: Apache-2.0
"""What stands behind tools/test and tools/demo.

``bootstrap`` and ``suite`` run on a bare Python, before any virtual
environment exists: standard library only.
"""
