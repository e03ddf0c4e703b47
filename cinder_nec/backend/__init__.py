# SPDX-License-Identifier: Apache-2.0
"""Workflows on top of the array's commands."""
