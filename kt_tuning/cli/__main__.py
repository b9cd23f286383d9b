"""`python -m kt_tuning.cli`."""

from kt_tuning.cli import main

main()
