"""`/payment_methods`: delete a saved one."""

from __future__ import annotations

from sandbox.exchange import Answer, Request, as_json
from sandbox.hyperswitch.errors import HyperswitchError
from sandbox.world import World


def delete_method(world: World, _request: Request, method_id: str) -> Answer:
    """It cannot be charged any more; a second call does not find it."""
    for customer in world.customers.values():
        if method_id in customer.payment_methods:
            customer.payment_methods.remove(method_id)
            return as_json({"payment_method_id": method_id, "deleted": True})
    raise HyperswitchError(404, "HE_02", "Payment method does not exist in our records")
