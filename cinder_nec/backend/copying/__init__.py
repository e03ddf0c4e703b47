# SPDX-License-Identifier: Apache-2.0
"""Copy methods: snapshot (BV/SV/LV) and data replication (MV/RV)."""
