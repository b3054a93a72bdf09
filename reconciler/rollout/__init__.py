"""Who may start now: plan + ledger + now -> a verdict for every device with a route, each with its reason. Pure.

Read `gate.py` first, then `waves.py`: what one pass saw, and what follows for the fleet's waves.
"""
