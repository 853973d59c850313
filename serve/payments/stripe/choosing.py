"""The settings choose the gateway: with a key Stripe, without one the test gateway."""

from serve.payments.stripe.calls import StripeCalls
from serve.payments.stripe.gateway import StripeGateway
from serve.settings import Settings

STRIPE_SECONDS = 20.0
"""For what a session asks of Stripe, all tries together; the runtime gives it 30."""


def stripe_of(settings: Settings) -> StripeGateway | None:
    """For one event loop; None without a key."""
    key = settings.stripe_secret_key
    return None if key is None else StripeGateway(StripeCalls(key.get_secret_value(), base=settings.stripe_api_base))


def has_hosted_page(settings: Settings) -> bool:
    """Whether who names no means, a card's either, is led to a page of the gateway's that asks for them."""
    return settings.stripe_secret_key is not None
