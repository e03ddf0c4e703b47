# SPDX-License-Identifier: Apache-2.0
"""What tools/fuzz has found, and two minutes of it."""
