# SPDX-License-Identifier: Apache-2.0
"""Every operation of every driver class, with every command failing.

doc/source/contributor/faults.rst says how to add an operation.
"""
