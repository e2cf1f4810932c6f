"""A second opinion: what Prometheus 2.42 must say of an SLO, computed from raw samples in Python.

It shares no expression with the generator of rules, so the two can be held against each other
(tests) and its predictions can be proven by promtool (monitoring/proofs). No input or output.
"""
