"""Where manifests come from: a folder, a commit of a Git repository, or a repository that is followed (`GitSource`).

A source reads; it never judges what it has read beyond what reading itself can tell: not UTF-8, too large, leading out
of the given folder. Judging and compiling is the work of `manifests/`.
"""

from reconciler.sources.folder import FolderShelf, load_fleets, read_manifests
from reconciler.sources.manifest_set import ManifestSet

__all__ = ["FolderShelf", "ManifestSet", "load_fleets", "read_manifests"]
