"""`hypermodel="auto"`: families and first configurations that suit the images."""

from kt_tuning.search.auto.choice import AUTO, AutoChoice, choose
from kt_tuning.search.auto.plan import Plan
from kt_tuning.search.auto.record import Chosen, choice_for, chosen

__all__ = ["AUTO", "AutoChoice", "Chosen", "Plan", "choice_for", "choose", "chosen"]
