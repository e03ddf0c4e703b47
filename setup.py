# SPDX-License-Identifier: Apache-2.0
"""All of the package's description is in setup.cfg."""

import setuptools

setuptools.setup()
