# SPDX-License-Identifier: Apache-2.0
"""Builds the packages and says what is in them (``tools/package``)."""
