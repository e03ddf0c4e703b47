# SPDX-License-Identifier: Apache-2.0
"""All that knows the array's language (shared fact sheet ISMCLI.md)."""
