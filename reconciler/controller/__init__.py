"""The loop: look, judge, plan, decide, act; write down; look again. Read `cycle.py` first.

Time, identifiers and the world outside come in as arguments; `wiring.py` brings the real ones.
"""
