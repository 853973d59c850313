"""A card processor that charges at once and commits each charge: the third party, inlined."""

from sqlalchemy import bindparam, insert, update

from benchmarks.stateless.models import Database, charges

_VOID = update(charges).where(charges.c.id == bindparam("charge")).values(status="refunded")
_CHARGE = insert(charges)


class Declined(Exception):
    """The card was refused; the argument is the processor's code."""


class FakeGateway:
    """Knows two of Stripe's test methods: `pm_card_chargeDeclined` is declined, every other is charged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def charge(self, charge: str, amount: int, currency: str, reference: str) -> None:
        """Takes the money (minor units), durably. Raises Declined."""
        if reference == "pm_card_chargeDeclined":
            raise Declined("card_declined")
        row = {"id": charge, "amount": amount, "currency": currency, "reference": reference, "status": "captured"}
        with self._database.transaction() as connection:
            connection.execute(_CHARGE, row)

    def refund(self, charge: str) -> None:
        """Gives a charge back in full, durably."""
        with self._database.transaction() as connection:
            connection.execute(_VOID, {"charge": charge})
