# SPDX-License-Identifier: Apache-2.0
"""Real iSCSI in front of the simulated array's LDs (../README.md)."""
