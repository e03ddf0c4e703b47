# SPDX-License-Identifier: Apache-2.0
"""What tenants and a broken array send, and what becomes of it."""
