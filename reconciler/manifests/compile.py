"""A set of manifest texts to one FleetSet, or to all of their problems."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from reconciler.manifests.applications import application_release_of
from reconciler.manifests.approvals import approval_of
from reconciler.manifests.document import Document, Node, read_documents
from reconciler.manifests.fleets import fleet_of, override_of
from reconciler.manifests.problem import ManifestErrors, ProblemCode
from reconciler.manifests.rollouts import Policy, policy_of
from reconciler.manifests.schema import MANIFEST_KINDS
from reconciler.manifests.scope import RosterReader, Scope, section
from reconciler.manifests.validate import check, kind_of
from reconciler.model.fleet import FleetSet

_Compiled = TypeVar("_Compiled")
_Readable = list[tuple[Document, Node]]


def load_manifests(
    files: Mapping[str, str],
    rosters: Mapping[str, str] | RosterReader,
    *,
    also_known: Collection[str] = (),
) -> FleetSet:
    """Compile manifests.

    Args:
        files: The text of every manifest file by its path, with `/`; paths stand in messages as they are.
        rosters: The text of a roster by its path (the manifest's folder joined with what the manifest says), or a
            function that reads one; None or a missing key: there is none.
        also_known: Device OS releases that exist beside the published table.

    Returns:
        Fleets, overrides and approvals in the order of their names, and a digest over what was read.

    Raises:
        ManifestErrors: All problems of all files.
    """
    scope = Scope(read_roster=rosters if callable(rosters) else rosters.get, also_known=also_known)
    readable = _readable(scope, files)
    releases = _by_name(scope, readable["ApplicationRelease"], application_release_of)
    policies = _by_name(scope, readable["RolloutPolicy"], _policy_of)
    fleets = _by_name(
        scope,
        readable["DeviceFleet"],
        lambda scope, document, root: fleet_of(scope, document, root, releases=releases, policies=policies),
    )
    overrides = _by_name(
        scope,
        readable["DeviceOverride"],
        lambda scope, document, root: override_of(scope, document, root, releases=releases),
    )
    approvals = _by_name(
        scope,
        readable["PlanApproval"],
        lambda scope, document, root: approval_of(scope, document, root, fleets=fleets),
    )
    if scope.problems:
        raise ManifestErrors(scope.problems)
    return FleetSet(
        fleets=tuple(fleets[name] for name in sorted(fleets)),
        overrides=tuple(overrides[name] for name in sorted(overrides)),
        approvals=tuple(approvals[name] for name in sorted(approvals)),
        digest=_digest(_said(scope, readable)),
        files=tuple(sorted({*files, *scope.rosters})),
    )


def _readable(scope: Scope, files: Mapping[str, str]) -> dict[str, _Readable]:
    """Every document by kind, without the parts that have problems; the problems go into the scope."""
    found: dict[str, _Readable] = {kind: [] for kind in MANIFEST_KINDS}
    for file in sorted(files):
        documents, problems = read_documents(file, files[file])
        scope.problems.extend(problems)
        if problems:
            scope.all_readable = False
        for document in documents:
            root, wrong = check(document)
            scope.problems.extend(wrong)
            kind = kind_of(document)
            if root is None or kind is None:
                scope.all_readable = False
            else:
                found[kind].append((document, root))
    return found


def _by_name(
    scope: Scope, readable: _Readable, compiled: Callable[[Scope, Document, Node], _Compiled]
) -> dict[str, _Compiled]:
    """Compile every document of one kind; a name that is there twice is reported with both places."""
    found: dict[str, _Compiled] = {}
    first: dict[str, str] = {}
    for document, root in readable:
        value = compiled(scope, document, root)
        name = section(root, "metadata").members.get("name")
        if name is None:
            scope.all_readable = False
            continue
        if str(name.value) in first:
            message = f"a second {root.members['kind'].value} {name.value!r}; first at {first[str(name.value)]}"
            scope.report(document, name, ProblemCode.DUPLICATE_NAME, message, "give one of them another name")
            continue
        first[str(name.value)] = str(document.place(name))
        found[str(name.value)] = value
    return found


def _policy_of(scope: Scope, document: Document, root: Node) -> Policy:
    return policy_of(scope, document, section(root, "spec"))


def _said(scope: Scope, readable: Mapping[str, _Readable]) -> dict[str, bytes]:
    """What every file says, in one form whatever its remarks, white space and order of keys.

    An approval is no part of what is asked for: the plan that it names must stay that plan when it is added.
    """
    of_file: dict[str, list[str]] = {}
    for kind, found in readable.items():
        for document, root in found if kind != "PlanApproval" else ():
            text = json.dumps(root.value, sort_keys=True, separators=(",", ":"))
            of_file.setdefault(document.file, []).append(text)
    rosters = {path: "\n".join(sorted(ids)).encode() for path, ids in scope.roster_ids.items()}
    return {file: "\n".join(sorted(texts)).encode() for file, texts in of_file.items()} | rosters


def _digest(said: Mapping[str, bytes]) -> str:
    """`sha256:…` over paths and contents, without the folder that all share: where a checkout lies does not count."""
    folders = [path.split("/")[:-1] for path in said]
    shared = 0
    if folders:
        while shared < min(map(len, folders)) and len({tuple(folder[: shared + 1]) for folder in folders}) == 1:
            shared += 1
    digest = hashlib.sha256()
    for path in sorted(said):
        below, content = "/".join(path.split("/")[shared:]).encode(), said[path]
        digest.update(len(below).to_bytes(8, "big") + below + len(content).to_bytes(8, "big") + content)
    return f"sha256:{digest.hexdigest()}"
