"""The colours of all figures; the report's style sheet has the same ones.

Blue and orange are told apart with every kind of colour blindness, as in the palette of Okabe and
Ito that Wong (2011), "Points of view: Color blindness", Nature Methods 8, recommends; they are
darker here, so that lines and text have a contrast of at least 3 to 1 on white.
"""

INK = "#1b2430"
"""Titles."""
MUTED = "#5b6673"
"""Labels of axes and ticks."""
RULE = "#d5dbe3"
"""Grids and frames."""
FAINT = "#8592a1"
"""Background: the other trials, grey marks."""
BLUE = "#0b6bb0"
"""The main series."""
ORANGE = "#c2500a"
"""Highlights: mistakes, failures, the hardest class."""
CORRECT, MISTAKEN = "#1f78b8", "#c9560f"
"""Blue and orange of the cells of a confusion matrix. They are pixels of an image and cannot follow
a light or dark page as lines and text do: they stand out from both, and carry white digits."""
SHADES = ("#c2daec", BLUE, "#0a2b45")
"""Colour map from light to dark, interpolated between these."""
ON_CELL = "#fefefe"
"""Digits on a saturated cell of a confusion matrix."""
