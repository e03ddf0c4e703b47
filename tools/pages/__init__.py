# SPDX-License-Identifier: Apache-2.0
"""What the pages of doc/ are made from, beside their text."""
