"""The hands, and what stands before and behind them: the guard that checks a step once more, and the judge of evidence.

Sending proves nothing. `executor.py` is the promise of every pair of hands, `guard.py` says no to a step that is not
right any longer, `evidence.py` alone decides what a newer observation proves.
"""
