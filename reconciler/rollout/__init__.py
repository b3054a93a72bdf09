"""Who may start now: plan + ledger + now -> a verdict for every device with a route, each with its reason. Pure.

Read `gate.py` first. What a manifest asks of a rollout and is not built yet (waves) is refused here, never ignored.
"""
