# SPDX-License-Identifier: Apache-2.0
"""A simulated Linux host for os-brick; see README.md beside this file."""
