"""The lowest layer: errors, records, atomic files, units, optional imports, quieting."""
