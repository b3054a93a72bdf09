"""The command line with less patience: `python impatient.py SECONDS COMMAND…`, for tests of what never answers.

A read with all its repetitions gets SECONDS, and so does the beginning of the event stream; one silence gets a third of
that. Nothing else differs.
"""

from __future__ import annotations

import sys
from functools import partial

from reconciler import wiring
from reconciler.cli.main import main
from reconciler.particle.http import WirePatience

if __name__ == "__main__":
    seconds = float(sys.argv[1])
    patience = WirePatience(
        connect=seconds / 3,
        read=seconds / 3,
        write=seconds / 3,
        read_total=seconds,
        pause_first=seconds / 40,
        pause_max=seconds / 4,
        write_silence=seconds,
    )
    wiring.CloudSettings = partial(wiring.CloudSettings, patience=patience)  # type: ignore[misc, assignment]  # less patient settings
    wiring._STREAM_WAIT_SECONDS = seconds  # type: ignore[misc]  # a constant, but not of this test
    del sys.argv[1]
    main()
