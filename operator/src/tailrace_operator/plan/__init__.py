"""What to do so that the cluster becomes what a resource asks for: pure, with every action's reason in words.

`plan` compares desired with observed objects; carrying a plan out is `apply`'s part. Nothing here knows a clock, a
client or kopf, so each decision is a table test.
"""

from tailrace_operator.plan.drift import drift
from tailrace_operator.plan.identity import Ownership, Ref, ownership
from tailrace_operator.plan.plan import Apply, Delete, Plan, plan
from tailrace_operator.plan.versioned import in_use, versioned

__all__ = ["Apply", "Delete", "Ownership", "Plan", "Ref", "drift", "in_use", "ownership", "plan", "versioned"]
