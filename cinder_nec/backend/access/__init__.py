# SPDX-License-Identifier: Apache-2.0
"""Access protocols: how a host comes to see a logical disk."""
