"""The figures of a run: each module computes the content of a figure and draws it."""
