"""YAML text in, compiled fleets out; every problem of every file in one run.

    text -> document.py  nodes with positions      YAML without its traps; no floats; limits
         -> validate.py  the published schema      messages for people, did-you-mean
         -> compile.py   FleetSet                  what no schema can say: names, references, releases, zones

The rules:
- A problem says where (file, line, column), what, and what to write instead. One problem never hides another one:
  what a problem spoils is left out, the rest is checked on.
- Nothing is guessed and nothing half-read is compiled: one problem anywhere, and there is no FleetSet.
- Texts come in as arguments; reading them is the work of `sources/`.

Why nodes and not `yaml.load`: it turns `1.10` into 1.1, a device id with one `e` into a float, and keeps the last of
two equal keys without a word.
"""

from reconciler.manifests.compile import load_manifests
from reconciler.manifests.problem import ManifestErrors, Problem, ProblemCode

__all__ = ["ManifestErrors", "Problem", "ProblemCode", "load_manifests"]
