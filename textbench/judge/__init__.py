"""What may be concluded from numbers: one standard of evidence, as pure functions on frames.

docs/evidence.md has its rules, its margins, and what it is worth by simulation.
"""
