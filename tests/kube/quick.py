"""`reconciler` with shorter pauses of the operator: `python -m tests.kube.quick operator …`.

What the pauses are for is tested by themselves, in virtual time: `test_pacing.py`, `test_writer.py`.
"""

from __future__ import annotations

from reconciler.cli.main import main
from reconciler.kube import attendant, pacing, tenants

pacing.WRITE_EVERY_SECONDS = 1.0  # type: ignore[misc]  # shorter here alone
tenants.SECRET_SECONDS = 1.0  # type: ignore[misc]  # shorter here alone
attendant.SOON_SECONDS = 0.5  # type: ignore[misc]  # shorter here alone

if __name__ == "__main__":
    main()
