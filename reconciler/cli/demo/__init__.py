"""`reconciler demo`: the guided tour, in chapters. `tour.py` has their order, `chapters.py` what each shows.

Nothing in it is staged: every `$ reconciler …` is the command itself, on a pretend cloud that is served over HTTP, and
what it says is what it prints. What the emulator is asked besides (its census, its referee) is its own truth.
"""
