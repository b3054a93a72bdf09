"""What must change, by which steps, and what will not and why: desired + observed + catalog -> Plan. Pure.

Read `planner.py` first. The rules of a legal route are contracts section 4; `proof.py` replays every route by the
device's own rules and raises when one is broken.
"""
