"""The Optuna study of a search: how it is opened, written and read back."""
