"""Mails, as files in the data folder: one of each, whatever happens."""

from email import message_from_bytes, policy
from email.message import EmailMessage

from tests.api.conftest import MakeProduct
from tests.api.shopping import Buyer, Staff, body, new_email
from tests.running import RunningShop
from tests.waiting import eventually


def _mails(shop: RunningShop, email: str) -> dict[str, list[EmailMessage]]:
    """What was mailed to an address, by the words of the subject that say what it is."""
    found: dict[str, list[EmailMessage]] = {}
    folder = shop.settings.mails
    for path in folder.glob("*.eml"):
        mail = message_from_bytes(path.read_bytes(), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        if email in str(mail["To"]):
            found.setdefault(_kind(str(mail["Subject"])), []).append(mail)
    return found


def _kind(subject: str) -> str:
    orders = ("confirmed", "Receipt", "on its way", "arrived", "refund", "cancelled", "did not work", "not be accepted")
    for kind in ("confirm your email", "new password", "sign-in", *orders):
        if kind in subject:
            return kind
    raise AssertionError(f"a mail about what? {subject}")


def _has(shop: RunningShop, email: str, *kinds: str) -> None:
    """Waits until the address has mails of these kinds; then it has one of each, and no other."""
    eventually(lambda: set(kinds) <= set(_mails(shop, email)))
    assert {kind: len(mails) for kind, mails in _mails(shop, email).items()} == dict.fromkeys(kinds, 1)


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def test_a_paid_order_is_confirmed_and_receipted_once(
    shop: RunningShop, guest: Buyer, staff: Staff, product: MakeProduct
) -> None:
    email = new_email()
    sku = product(price=1000, name="Stoneware mug <moss>")
    order = guest.buy(sku, 2, "pm_webhook_twice", email=email)
    _has(shop, email, "confirmed", "Receipt")

    # Mails that follow show that no second one was still to come.
    staff.fulfil(order["id"], "pack")
    staff.fulfil(order["id"], "ship", carrier="DHL", tracking="JD014600006281230701")
    _has(shop, email, "confirmed", "Receipt", "on its way")

    mails = _mails(shop, email)
    confirmation, receipt, shipped = (_text(mails[kind][0]) for kind in ("confirmed", "Receipt", "on its way"))
    assert "Stoneware mug <moss>" in confirmation
    assert "£24.95" in confirmation
    assert "12 St James's Square" in confirmation
    assert "£24.95" in receipt
    assert "JD014600006281230701" in shipped
    html = mails["confirmed"][0].get_body(("html",))
    assert html is not None
    assert "Stoneware mug &lt;moss&gt;" in html.get_content()


def test_a_user_is_written_to_at_the_account(shop: RunningShop, user: Buyer, product: MakeProduct) -> None:
    user.buy(product(), email=None)
    _has(shop, user.email, "confirm your email", "confirmed", "Receipt")

    def told() -> set[tuple[str, bool]]:
        page = body(user.call("GET", "/api/notifications"))
        return {(item["kind"], item["read"]) for item in page["items"]}

    eventually(lambda: told() == {("order_confirmation", False), ("receipt", False)})


def test_cash_is_receipted_when_it_is_paid(shop: RunningShop, guest: Buyer, staff: Staff, product: MakeProduct) -> None:
    email = new_email()
    guest.add(product())
    order = body(guest.check_out("", "cash_on_delivery", email=email), 201)
    _has(shop, email, "confirmed")
    staff.fulfil(order["id"], "pack")
    staff.fulfil(order["id"], "ship", carrier="DHL", tracking="JD01")
    _has(shop, email, "confirmed", "on its way")
    staff.fulfil(order["id"], "deliver")
    _has(shop, email, "confirmed", "on its way", "arrived", "Receipt")


def test_a_decline_a_cancel_and_a_refund_are_told(shop: RunningShop, guest: Buyer, product: MakeProduct) -> None:
    email = new_email()
    order = guest.buy(product(), 1, "pm_card_chargeDeclined", email=email)
    _has(shop, email, "did not work")
    guest.pay(order["id"])
    _has(shop, email, "did not work", "confirmed", "Receipt")
    guest.cancel(order["id"])
    _has(shop, email, "did not work", "confirmed", "Receipt", "cancelled", "refund")


def test_the_command_asks_the_running_shop_which_addresses_are_off(shop: RunningShop) -> None:
    listed = shop.troupe("suppressions", "list")
    assert (listed.returncode, listed.stdout) == (0, "Every address is written to.\n"), listed.stderr
    lifted = shop.troupe("suppressions", "lift", "ada@example.com")
    assert (lifted.returncode, lifted.stderr) == (1, "This address is not in the list.\n")
