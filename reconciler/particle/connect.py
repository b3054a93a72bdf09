"""Real clocks and dice for the wire: what a command or the wiring calls to reach a cloud."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

from reconciler.model.allowance import REQUESTS, Allowance
from reconciler.particle.api import ParticleApi
from reconciler.particle.budget import Bucket, RequestBudget
from reconciler.particle.http import CloudWire, WirePatience
from reconciler.particle.stream import EVENT_PREFIX, CloudEvent, EventStream, StreamPatience
from reconciler.particle.token import TokenSource


def connect_api(
    api_url: str,
    token: TokenSource,
    *,
    requests: Allowance = REQUESTS,
    shared: Bucket | None = None,
    patience: WirePatience | None = None,
    sleep: Callable[[float], None] = time.sleep,
    proxies: Mapping[str, str] | None = None,
    trust: str | None = None,
) -> ParticleApi:
    """An API client on this machine's clock. Nothing is sent before its first call. `api.wire.close()` ends it.

    `shared` is a bucket that others take from, too, in the place of one with `requests`.
    """
    budget = RequestBudget(clock=time.monotonic, sleep=sleep, requests=requests, shared=shared)
    wire = CloudWire(
        api_url=api_url,
        token=token,
        budget=budget,
        clock=time.monotonic,
        sleep=sleep,
        dice=random.Random(),  # noqa: S311  # spreads pauses, guards no secret
        patience=patience,
        proxies=proxies,
        trust=trust,
    )
    return ParticleApi(wire)


def connect_stream(
    api_url: str,
    token: TokenSource,
    product: str | None,
    *,
    prefix: str = EVENT_PREFIX,
    on_event: Callable[[CloudEvent], object],
    budget: RequestBudget | None = None,
    on_gap: Callable[[], None] = lambda: None,
    patience: StreamPatience | None = None,
    proxies: Mapping[str, str] | None = None,
    trust: str | None = None,
) -> EventStream:
    """An event stream on this machine's clock, not yet started. `budget` is that of the address (`api.wire.budget`)."""
    return EventStream(
        api_url=api_url,
        token=token,
        product=product,
        prefix=prefix,
        on_event=on_event,
        budget=budget,
        on_gap=on_gap,
        clock=time.monotonic,
        dice=random.Random(),  # noqa: S311  # spreads pauses, guards no secret
        patience=patience,
        proxies=proxies,
        trust=trust,
    )
