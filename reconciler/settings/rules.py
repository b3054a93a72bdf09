"""What no schema can say of settings: fields that must fit together. Every rule yields the problems that it finds."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from reconciler.manifests.document import Document, Node
from reconciler.manifests.problem import Problem, ProblemCode
from reconciler.manifests.scope import section, text_of
from reconciler.model.duration import seconds_of
from reconciler.settings.settings import ServingSettings

_LIKE_SCP: Final = re.compile(r"[^/@:]+@[^/:]+:(?!//)")
"""`user@host:path`, the short form of an SSH address."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what answers there."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_local(url: str) -> bool:
    """Whether an address is a path on this machine."""
    return "://" not in url and _LIKE_SCP.match(url) is None


def problems_of(document: Document, root: Node) -> Iterator[Problem]:
    """Everything that does not fit together. `root` is what is left of the document without its other problems."""
    for rule in _RULES:
        yield from rule(document, root)


def _durations(document: Document, root: Node) -> Iterator[Problem]:
    for node in (root.members.get("interval"), root.members.get("grace"), section(root, "git").members.get("interval")):
        if node is not None and seconds_of(str(node.value)) < 1:
            yield _problem(document, node, "a duration of less than 1s leaves no time", "write 1s or more")


def _source(document: Document, root: Node) -> Iterator[Problem]:
    if "git" not in root.members and "kubernetes" not in root.members:
        message = "neither git nor kubernetes: nothing says where the manifests are"
        yield _problem(document, root, message, "give git.url, or kubernetes: {} in a cluster")
    if "git" in root.members and "kubernetes" in root.members:
        place = root.members["kubernetes"]
        message = "git and kubernetes: two sources would contradict each other"
        yield _problem(document, place, message, "keep one of them")


def _git(document: Document, root: Node) -> Iterator[Problem]:
    git = section(root, "git")
    url = git.members.get("url")
    if url is None:
        return
    text = str(url.value)
    scheme = text.partition("://")[0] if "://" in text else "ssh" if not is_local(text) else "path"
    if scheme not in {"https", "ssh", "path", "file"} and not (scheme == "http" and is_loopback(_host(text))):
        message = "git.url: a repository is read over https, ssh or from a path"
        yield _problem(document, url, message, "http goes to this machine alone")
    if _has_password(text):
        suggestion = (
            "use a key, and name it with git.sshKeyFile" if scheme == "ssh" else "put it into git.tokenFile's file"
        )
        yield _problem(document, url, "git.url: a password stands in the address", suggestion)
    needs = {"tokenFile": ("https", "http"), "caFile": ("https",), "sshKeyFile": ("ssh",), "knownHostsFile": ("ssh",)}
    for key, schemes in needs.items():
        node = git.members.get(key)
        if node is not None and scheme not in schemes:
            message = f"git.{key}: it is for {schemes[0]}, and git.url is not"
            yield _problem(document, node, message, "remove one, or correct the other")
    missing = [key for key in ("sshKeyFile", "knownHostsFile") if key not in git.members]
    if scheme == "ssh" and missing:
        message = f"git.url: ssh needs {' and '.join(f'git.{key}' for key in missing)}"
        yield _problem(document, url, message, "only a server whose key is known is asked, and with a key of its own")


def _serving(document: Document, root: Node) -> Iterator[Problem]:
    serving = section(root, "serving")
    host = text_of(serving, "host") or ServingSettings().host
    if is_loopback(host):
        return
    place = serving.members.get("host", serving)
    if "certificateFile" not in serving.members and not _says_yes(serving, "allowPlaintext"):
        message = f"serving.host: other machines reach {host}, and there is no TLS"
        suggestion = "give certificateFile and keyFile, or say allowPlaintext: true where something in front has TLS"
        yield _problem(document, place, message, suggestion)
    if not section(serving, "tokens").items and not _says_yes(serving, "allowAnonymous"):
        message = f"serving.host: other machines reach {host}, and there are no tokens"
        suggestion = "give tokens, or say allowAnonymous: true where health and metrics are for everybody"
        yield _problem(document, place, message, suggestion)


def _channels(document: Document, root: Node) -> Iterator[Problem]:
    for channel in section(root, "channels").items:
        url = channel.members.get("url")
        if url is not None and _has_password(str(url.value)):
            message = "a password stands in the channel's address"
            yield _problem(document, url, message, "put the address into a file, and name it with urlFile")
        # Of other kinds the schema says it.
        if url is not None and "urlFile" in channel.members and text_of(channel, "kind") in {"github", "gitlab"}:
            yield _problem(document, url, "the channel has url and urlFile", "keep one of them")


def _names(document: Document, root: Node) -> Iterator[Problem]:
    for what, items in (
        ("channels", section(root, "channels")),
        ("tokens", section(section(root, "serving"), "tokens")),
    ):
        first: dict[object, Node] = {}
        for item in items.items:
            name = item.members.get("name")
            if name is None:
                continue
            if name.value in first:
                message = f"{what}: a second {name.value!r}; first at line {first[name.value].line}"
                yield _problem(document, name, message, "give one of them another name")
            first.setdefault(name.value, name)


_RULES: Final[tuple[Callable[[Document, Node], Iterator[Problem]], ...]] = (
    _durations,
    _source,
    _git,
    _serving,
    _channels,
    _names,
)


def _problem(document: Document, node: Node, message: str, suggestion: str) -> Problem:
    return document.problem(document.place(node), ProblemCode.SETTINGS, message, suggestion)


def _says_yes(node: Node, key: str) -> bool:
    return key in node.members and node.members[key].value is True


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _has_password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return "@" in url
