# SPDX-License-Identifier: Apache-2.0
"""Cinder's objects without a database."""

from __future__ import annotations

from cinder import objects

objects.register_all()


class UnsavedVolume(objects.Volume):
    """A volume of no database: what it was made with is what there is."""

    def obj_load_attr(self, attrname: str) -> None:
        if not self.obj_attr_is_set(attrname):
            super().obj_load_attr(attrname)
