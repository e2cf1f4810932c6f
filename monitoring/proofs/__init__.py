"""Proofs: for each SLO promtool unit tests that show its alerts firing and resetting when they should.

What should happen comes from monitoring/oracle, never from a run of promtool; the rules
are the generator's own, on a profile whose windows are short. Planning is pure; only
`promtool` and `command` run something.
"""
