"""Connections to the cloud: where they go, and what they never do."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from reconciler import __version__
from reconciler.model.error import WireError

POOL_CONNECTIONS: Final = 32
"""At the vendor's limit of 33 requests a second, 32 connections suffice for answers that take a second each."""

USER_AGENT: Final = f"particle-fleet-reconciler/{__version__}"


def new_session(*, proxies: Mapping[str, str] | None = None, trust: str | None = None) -> requests.Session:
    """A session that consults no environment, keeps no cookies and repeats nothing by itself."""
    session = requests.Session()
    session.trust_env = False
    session.proxies.update(proxies or {})
    session.verify = trust or True
    session.headers["User-Agent"] = USER_AGENT
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=POOL_CONNECTIONS, pool_block=True, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def checked_api_url(text: str) -> str:
    """The base address without a trailing slash. Raises WireError PFR3011 for what is no plain HTTP(S) address."""
    problem = ""
    try:
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            problem = "is no http:// or https:// address"
        elif parts.username is not None or parts.query or parts.fragment or any(c.isspace() for c in text):
            problem = "has a user name, a query, a fragment or spaces"
        elif parts.port == 0:
            problem = "has no usable port"
    except ValueError as error:
        problem = f"cannot be read ({error})"
    if problem:
        # The text itself may hold a password; only what is wrong with it is said.
        raise WireError(
            "PFR3011",
            f"the API address {problem}",
            next_step="give --api-url (or PARTICLE_API_URL) such as https://api.particle.io",
        )
    return text.rstrip("/")
