"""A run directory: names of its files, lock, records, reader, removal."""
