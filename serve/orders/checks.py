"""What is checked before anything is asked of an order, and the problems that orders answer with."""

from email_validator import EmailNotValidError, validate_email

from actors.decision import Refused
from actors.order import CASH_ON_DELIVERY
from serve.gateway.principals import Principal
from serve.gateway.problems import Problem, declare, invalid, refused
from serve.orders.schemas import Payment

declare("too_many_orders", 409, "Too many orders wait to be paid")
declare("order_adopted", 409, "The order is an account's by now")
declare("out_of_stock", 409, "Not enough in stock")
declare("email_needed", 422, "An email address is needed")
declare("no_receipt", 409, "There is no receipt yet")
declare("too_late", 409, "Too late for this")
declare("not_awaiting_payment", 409, "The order does not wait for a payment")
declare("method_not_allowed_for_order", 422, "Not possible with this method of payment")
declare("too_many_attempts", 409, "Too many attempts")
declare("wrong_status", 409, "Not possible in the order's present state")
declare("not_captured", 409, "The money is not captured yet")
declare("bad_refund_lines", 422, "The order does not have these units")
declare("bad_amount", 422, "Unusable amount")
declare("refund_too_large", 422, "More than is left of the payment")
declare("too_many_refunds", 409, "Too many refunds")
declare("bad_shipment_lines", 422, "So much is not waiting to be shipped")
declare("no_such_shipment", 404, "No such shipment")
declare("too_many_shipments", 409, "Too many shipments")
declare("too_many_steps", 409, "Too many steps")
declare("bad_period", 400, "No such period")
declare("bad_cursor", 400, "The cursor is not of this list")


def check_payment(payment: Payment, *, hosted: bool) -> None:
    """`hosted`: the gateway has a page of its own for whoever names no means. Raises Problem invalid_request."""
    if payment.method == "card" and not payment.reference and not hosted:
        raise invalid("A card is named by the payment gateway's reference", "/body/payment/reference")
    if payment.method == CASH_ON_DELIVERY and payment.reference:
        raise invalid("Cash has no reference", "/body/payment/reference")


def checked_email(principal: Principal, email: str | None) -> str | None:
    """The address in its usual form. Raises Problem email_needed or invalid_request."""
    if email is None:
        if principal.kind == "guest":
            raise Problem("email_needed", "Without an account, say where to write to: email.")
        return None
    try:
        return validate_email(email, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise invalid(str(error), "/body/email") from None


def place_of(cursor: str) -> tuple[int, str]:
    """Raises Problem bad_cursor."""
    at, _, order_id = cursor.partition(".")
    if not at.isascii() or not at.isdigit() or len(at) > 18 or not order_id:
        raise Problem("bad_cursor", "This is not the cursor of a list of orders.")
    return int(at), order_id


def not_found() -> Problem:
    return Problem("not_found", "There is no such order.")


def about_order(problem: Problem, order_id: str | None) -> Problem:
    if order_id is not None:
        problem.headers["Location"] = f"/api/orders/{order_id}"
    return problem


def refused_order(answer: Refused, order_id: str) -> Problem:
    if answer.code == "no_such_order":
        return not_found()
    if answer.code == "method_not_allowed":  # which is also HTTP's word for something else
        return Problem("method_not_allowed_for_order", answer.detail)
    return about_order(refused(answer), order_id)
