"""Where manifests come from: a folder.

A source reads; it never judges what it has read beyond what reading itself can tell: not UTF-8, too large, leading out
of the given folder. Judging and compiling is the work of `manifests/`.
"""

from reconciler.sources.folder import ManifestFolder, load_fleets, read_manifests

__all__ = ["ManifestFolder", "load_fleets", "read_manifests"]
