"""Calls about products themselves."""

from __future__ import annotations

from typing import Any

from reconciler.emulator.message import Answer, json_answer
from reconciler.emulator.products import Product
from reconciler.emulator.state import Call, State


def list_products(call: Call) -> Answer:
    """GET /v1[/user | /orgs/:org]/products: all that the token may see."""
    only = call.token.product_id if call.token else None
    shown = [product for product in call.state.products.values() if only in (None, product.id)]
    return json_answer({"products": [_record(call.state, product) for product in shown]})


def get_product(call: Call) -> Answer:
    """GET /v1/products/:p."""
    return json_answer({"product": _record(call.state, call.member_of)})


def _record(state: State, product: Product) -> dict[str, Any]:
    return {
        "id": product.id,
        "slug": product.slug,
        "name": product.name,
        "description": "",
        "platform_id": product.platform.id,
        "org": state.organisation,
        "groups": list(product.groups),
        "device_count": len(state.members(product)),
    }
