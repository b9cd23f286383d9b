"""Members made up for the tests: predictions (K, N, C) and labels (N,)."""

import numpy as np

CLASSES = 4


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def make_members(skills, rows=400, seed=0, noise=1.0):
    """Predictions whose errors are independent: the truth's logit is higher by the skill."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=rows)
    logits = rng.normal(scale=noise, size=(len(skills), rows, CLASSES))
    logits[:, np.arange(rows), labels] += np.asarray(skills, dtype=float)[:, None]
    return softmax(logits), labels


def of_truth(predictions, labels):
    return predictions[:, np.arange(len(labels)), labels]
