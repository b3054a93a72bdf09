"""Eyes: what the fleet looks like, from the cloud or from a saved snapshot.

An observation never says more than its source said. What could not be read is a finding, not a guess.
"""
