# SPDX-License-Identifier: Apache-2.0
"""Services that are killed at each command, and what is left of them."""
