"""A payment session by example: attempts, what is believed of the gateway, closing and refunds."""

import msgspec
import pytest

from actors.decision import ClearTimer, Context, Decision, Effect, Message, SetTimer
from actors.kinds import PAYMENT
from actors.payment import (
    COMMANDS,
    AttemptAnswered,
    AttemptStarted,
    CancelIntent,
    Cancelled,
    CashRecorded,
    Close,
    ConfirmIntent,
    CreateIntent,
    DisputeNoted,
    GatewayNotified,
    IntentCreated,
    IntentMade,
    IntentRefused,
    LookedUp,
    LookStarted,
    LookUp,
    NoteDispute,
    Open,
    Outcome,
    PaymentActionRequired,
    PaymentCaptured,
    PaymentClosed,
    PaymentFailed,
    PaymentProcessing,
    PaymentRefunded,
    PaymentState,
    Poll,
    RecordCash,
    Refund,
    RefundAnswered,
    RefundFailed,
    RefundIntent,
    RefundStarted,
    RetryRefunds,
    SessionOpened,
    TryMethod,
    WebhookReceived,
    apply,
    initial,
    settled,
    view,
)
from actors.payment_decisions import FIRST_POLL, FIRST_RETRY, LONGEST_POLL, decide

NOW = 1_000
OPEN = Open("o", 500, "EUR", "card", "pm_1", 9_000, "u1")
SUCCEEDED = Outcome("succeeded", captured=500)
DECLINED = Outcome("failed", code="declined")
ACTION = Outcome("requires_action", action_url="https://bank.example", action_type="redirect")


class Session:
    """A session that keeps its effects and remembers its public events."""

    def __init__(self, *commands: COMMANDS) -> None:
        self.state: PaymentState = initial("o")
        self.now = NOW
        for command in commands:
            self.tell(command)

    def tell(self, command: COMMANDS) -> Decision:
        decision = decide(self.state, command, Context(self.now, "o", "c"))
        for event in decision.events:
            self.state = apply(self.state, event)  # type: ignore[arg-type]
        return decision


def started(decision: Decision) -> list[Message]:
    assert all(isinstance(effect, Effect) for effect in decision.effects)
    return [effect.request for effect in decision.effects]


def running() -> Session:
    return Session(OPEN, IntentCreated("pi"))


def paid() -> Session:
    return Session(OPEN, IntentCreated("pi"), AttemptAnswered(1, SUCCEEDED))


def test_it_opens_creates_an_intent_and_makes_the_first_attempt() -> None:
    session = Session()
    decision = session.tell(OPEN)
    assert decision.events == (
        SessionOpened(500, "EUR", "card", "pm_1", 9_000, "u1"),
        AttemptStarted(1, "card", "pm_1"),
    )
    assert started(decision) == [CreateIntent("o", 500, "EUR", 1, 1, "card", "pm_1", NOW)]
    decision = session.tell(IntentCreated("pi", 1, Outcome("processing")))
    assert decision.events == (IntentMade("pi"), PaymentProcessing())
    assert started(decision) == []
    assert decision.timers == (SetTimer("poll", NOW + FIRST_POLL, Poll()),)
    assert (view(session.state).status, view(session.state).intent) == ("running", "pi")
    assert session.tell(OPEN) == Decision()
    assert session.tell(IntentCreated("pi")).effects == ()


def test_each_request_has_a_key_of_its_own() -> None:
    assert CreateIntent("o", 500, "EUR", 2).key == "o/intent/2"
    assert ConfirmIntent("o", "pi", 3, "card", "pm").key == "o/attempt/3"
    assert LookUp("o", "pi", 4).key == "o/look/4"
    assert CancelIntent("o", "pi", 5).key == "o/cancel/5"
    assert RefundIntent("o", "pi", "r1", 10, 6).key == "o/refund/r1/6"


def test_nothing_is_opened_for_cash_or_for_nothing() -> None:
    assert Session().tell(Open("o", 500, "EUR", "cash_on_delivery", "", 9_000, "u1")) == Decision()
    assert Session().tell(Open("o", 0, "EUR", "card", "pm_1", 9_000, "u1")) == Decision()


def test_money_moves_once() -> None:
    session = running()
    decision = session.tell(AttemptAnswered(1, SUCCEEDED))
    assert decision.events == (PaymentCaptured(500, "EUR"),)
    assert decision.timers == (ClearTimer("poll"),)
    assert session.tell(AttemptAnswered(1, SUCCEEDED)) == Decision()
    assert session.tell(GatewayNotified("pi")) == Decision()
    assert session.tell(TryMethod("card", "pm_2", 1)) == Decision()
    assert session.tell(Close("deadline")) == Decision()
    assert settled(session.state)


def test_a_method_is_remembered_until_the_running_attempt_has_failed() -> None:
    session = running()
    assert started(session.tell(TryMethod("wallet", "pm_2", 1))) == []
    decision = session.tell(AttemptAnswered(1, DECLINED))
    assert decision.events == (PaymentFailed("declined"), AttemptStarted(2, "wallet", "pm_2"))
    assert started(decision) == [ConfirmIntent("o", "pi", 2, "wallet", "pm_2", NOW)]
    assert session.tell(TryMethod("wallet", "pm_2", 1)) == Decision(), "the same wish again"


def test_after_a_failure_the_next_method_is_tried_at_once() -> None:
    session = running()
    decision = session.tell(AttemptAnswered(1, DECLINED))
    assert decision.events == (PaymentFailed("declined"),)
    assert decision.timers == (ClearTimer("poll"),)
    assert started(session.tell(TryMethod("card", "pm_2", 1))) == [ConfirmIntent("o", "pi", 2, "card", "pm_2", NOW)]


def test_an_attempt_that_waits_for_the_shopper_is_replaced() -> None:
    session = running()
    decision = session.tell(AttemptAnswered(1, ACTION))
    assert decision.events == (PaymentActionRequired("https://bank.example", "redirect"),)
    assert started(session.tell(TryMethod("card", "pm_2", 1))) == [ConfirmIntent("o", "pi", 2, "card", "pm_2", NOW)]


def test_a_method_chosen_before_the_session_is_open_is_the_first_attempt() -> None:
    session = Session(TryMethod("wallet", "pm_2", 1), OPEN)
    assert session.state.attempt == 1
    assert session.state.method == "wallet"


def test_a_method_chosen_while_the_first_attempt_is_under_way_is_the_second() -> None:
    session = Session(OPEN, TryMethod("wallet", "pm_2", 1))
    decision = session.tell(IntentCreated("pi", 1, DECLINED))
    assert decision.events == (IntentMade("pi"), PaymentFailed("declined"), AttemptStarted(2, "wallet", "pm_2"))
    assert started(decision) == [ConfirmIntent("o", "pi", 2, "wallet", "pm_2", NOW)]


def test_a_method_chosen_while_the_intent_is_refused_is_tried_with_another_intent() -> None:
    session = Session(OPEN, TryMethod("wallet", "pm_2", 1))
    decision = session.tell(IntentRefused("not_this_card"))
    assert decision.events[0] == PaymentFailed("not_this_card")
    assert started(decision) == [CreateIntent("o", 500, "EUR", 2, 2, "wallet", "pm_2", NOW)]


def test_a_session_that_was_opened_without_an_attempt_makes_it_once_it_has_its_intent() -> None:
    """As records have it from before the two were one."""
    session = Session()
    session.state = apply(session.state, SessionOpened(500, "EUR", "card", "pm_1", 9_000, "u1"))
    assert started(session.tell(IntentCreated("pi"))) == [ConfirmIntent("o", "pi", 1, "card", "pm_1", NOW)]
    session.state = apply(initial("o"), SessionOpened(500, "EUR", "card", "pm_1", 9_000, "u1"))
    assert session.tell(IntentRefused("no")).events == (PaymentFailed("no"),)


def test_a_refused_intent_is_a_failed_payment_and_may_be_asked_for_again() -> None:
    session = Session(OPEN)
    assert session.tell(IntentRefused("amount_too_small")).events == (PaymentFailed("amount_too_small"),)
    assert started(session.tell(TryMethod("card", "pm_2", 1))) == [
        CreateIntent("o", 500, "EUR", 2, 2, "card", "pm_2", NOW)
    ]
    assert session.tell(IntentRefused("amount_too_small", 1)).events == (), "that was the first"
    assert session.tell(IntentCreated("pi", 2, SUCCEEDED)).events == (IntentMade("pi"), PaymentCaptured(500, "EUR"))


def test_it_looks_of_its_own_accord_until_it_knows() -> None:
    session = running()
    assert session.tell(AttemptAnswered(1, Outcome("processing"))).events == (PaymentProcessing(),)
    session.now += FIRST_POLL
    assert started(session.tell(Poll())) == [LookUp("o", "pi", 1)]
    decision = session.tell(LookedUp(1, Outcome("processing")))
    assert decision.timers == (SetTimer("poll", session.now + 2 * FIRST_POLL, Poll()),)
    for number in range(2, 12):
        session.tell(Poll())
        decision = session.tell(LookedUp(number, Outcome("processing")))
    assert decision.timers == (SetTimer("poll", session.now + LONGEST_POLL, Poll()),)
    session.tell(Poll())
    assert session.tell(LookedUp(12, SUCCEEDED)).events[-1] == PaymentCaptured(500, "EUR")


def test_a_look_that_set_out_before_the_attempt_was_answered_tells_only_of_money() -> None:
    session = Session(OPEN, IntentCreated("pi"), AttemptAnswered(1, DECLINED), TryMethod("card", "pm_2", 1))
    session.tell(GatewayNotified("pi"))
    assert PaymentFailed("declined") not in session.tell(LookedUp(1, DECLINED)).events, "that was the first attempt"
    session.tell(GatewayNotified("pi"))
    session.tell(AttemptAnswered(2, Outcome("processing")))
    assert PaymentFailed("declined") not in session.tell(LookedUp(2, DECLINED)).events, "and so was that"
    session.tell(GatewayNotified("pi"))
    assert PaymentFailed("declined") in session.tell(LookedUp(3, DECLINED)).events


def test_news_during_a_look_makes_it_look_again_once() -> None:
    session = Session(OPEN, IntentCreated("pi"), AttemptAnswered(1, ACTION))
    assert started(session.tell(GatewayNotified())) == [LookUp("o", "pi", 1)]
    assert started(session.tell(GatewayNotified("pi"))) == []
    assert session.tell(GatewayNotified("pi")) == Decision()
    assert session.tell(GatewayNotified("pi_other")) == Decision()
    assert started(session.tell(LookedUp(1, ACTION))) == [LookUp("o", "pi", 2)]
    assert session.tell(LookedUp(2, SUCCEEDED)).events[-1] == PaymentCaptured(500, "EUR")


def test_a_session_that_was_never_opened_closes_for_good() -> None:
    session = Session()
    assert session.tell(Close("customer")).events[-1] == PaymentClosed("customer")
    assert session.tell(OPEN) == Decision()
    assert session.tell(Close("customer")) == Decision()
    assert view(session.state).status == "closed"


def test_closing_waits_for_the_intent_and_starts_no_attempt() -> None:
    session = Session(OPEN)
    assert started(session.tell(Close("deadline"))) == []
    assert started(session.tell(IntentCreated("pi", 1, DECLINED))) == [CancelIntent("o", "pi", 1)]
    assert session.tell(Cancelled(Outcome("canceled"))).events[-1] == PaymentClosed("deadline")


def test_closing_waits_for_the_running_attempt_and_forgets_the_next() -> None:
    session = running()
    session.tell(TryMethod("card", "pm_2", 1))
    assert started(session.tell(Close("deadline"))) == []
    assert started(session.tell(AttemptAnswered(1, DECLINED))) == [CancelIntent("o", "pi", 1)]
    assert session.tell(TryMethod("card", "pm_3", 2)) == Decision()


def test_closing_a_paid_attempt_says_captured() -> None:
    session = running()
    session.tell(Close("deadline"))
    assert session.tell(AttemptAnswered(1, SUCCEEDED)).events == (PaymentCaptured(500, "EUR"),)
    session = Session(OPEN, IntentCreated("pi"), AttemptAnswered(1, ACTION))
    assert started(session.tell(Close("deadline"))) == [CancelIntent("o", "pi", 1)]
    assert session.tell(Cancelled(SUCCEEDED)).events[-1] == PaymentCaptured(500, "EUR")


def test_an_intent_that_was_not_cancelled_is_looked_at_and_cancelled_again() -> None:
    session = Session(OPEN, IntentCreated("pi"), AttemptAnswered(1, ACTION), Close("deadline"))
    decision = session.tell(Cancelled(Outcome("processing")))
    assert started(decision) == []
    assert decision.timers == (SetTimer("poll", NOW + FIRST_POLL, Poll()),)
    assert started(session.tell(Poll())) == [LookUp("o", "pi", 1)]
    assert started(session.tell(LookedUp(1, DECLINED))) == [CancelIntent("o", "pi", 2)]


def test_an_intent_that_the_gateway_cancelled_by_itself_closes_the_session() -> None:
    session = running()
    assert session.tell(AttemptAnswered(1, Outcome("canceled"))).events == (PaymentClosed("gateway"),)


def test_money_that_comes_after_the_end_goes_back_by_itself() -> None:
    session = Session(OPEN, IntentCreated("pi"), AttemptAnswered(1, Outcome("canceled")))
    decision = session.tell(LookedUp(1, SUCCEEDED))
    assert decision.events == (PaymentCaptured(500, "EUR"), RefundStarted("order-ended", 500, True, 1))
    assert started(decision) == [RefundIntent("o", "pi", "order-ended", 500, 1, NOW)]
    assert session.tell(Refund("order-ended", 500, must=True)) == Decision(), "the order asks for the same"


def test_a_refund_is_made_once_and_never_too_large() -> None:
    session = paid()
    assert started(session.tell(Refund("r1", 200))) == [RefundIntent("o", "pi", "r1", 200, 1, NOW)]
    assert session.tell(Refund("r1", 200)) == Decision()
    assert session.tell(Refund("r2", 301)).events == (RefundFailed("r2", "too_large", True),)
    assert session.tell(RefundAnswered("r1", 1, ok=True)).events == (PaymentRefunded("r1", 200, "EUR"),)
    assert session.tell(RefundAnswered("r1", 1, ok=True)) == Decision()
    assert view(session.state).refunded == 200


def test_a_refused_refund_fails_but_one_that_must_be_is_asked_for_again() -> None:
    session = paid()
    session.tell(Refund("r1", 100))
    assert session.tell(RefundAnswered("r1", 1, ok=False, code="no")).events == (RefundFailed("r1", "no", True),)
    session.tell(Refund("order-ended", 900, must=True))
    decision = session.tell(RefundAnswered("order-ended", 1, ok=False, code="no"))
    assert decision.events == (RefundFailed("order-ended", "no", False),)
    assert decision.timers == (SetTimer("refunds", NOW + FIRST_RETRY, RetryRefunds()),)
    assert not settled(session.state)
    assert started(session.tell(RetryRefunds())) == [RefundIntent("o", "pi", "order-ended", 500, 2, NOW)]
    assert session.tell(RetryRefunds()) == Decision()
    assert session.tell(RefundAnswered("order-ended", 1, ok=True)) == Decision(), "an answer to the first request"
    decision = session.tell(RefundAnswered("order-ended", 2, ok=True))
    assert decision.events == (PaymentRefunded("order-ended", 500, "EUR"),)


def test_cash_is_recorded_once_and_handed_back_by_hand() -> None:
    session = Session()
    assert session.tell(RecordCash(500, "EUR", "u1")).events == (CashRecorded(500, "EUR", "u1"),)
    assert view(session.state).owner == "u1"
    assert session.tell(RecordCash(500, "EUR", "u1")) == Decision()
    decision = session.tell(Refund("r1", 200))
    assert decision.events == (RefundStarted("r1", 200, False, 1), PaymentRefunded("r1", 200, "EUR"))
    assert decision.effects == ()


def test_cash_from_before_its_payer_was_told_is_still_read() -> None:
    told = msgspec.json.decode(b'{"type":"RecordCash/1","amount":500,"currency":"EUR"}', type=RecordCash)
    assert told == RecordCash(500, "EUR")
    happened = msgspec.json.decode(b'{"type":"CashRecorded/1","amount":500,"currency":"EUR"}', type=CashRecorded)
    assert view(apply(initial("o"), happened)).owner == ""


def test_what_was_never_asked_for_is_ignored() -> None:
    session = Session()
    unasked: list[COMMANDS] = [
        IntentCreated("pi"),
        IntentRefused("no"),
        AttemptAnswered(1, DECLINED),
        LookedUp(1, DECLINED),
        RefundAnswered("r1", 1, ok=True),
        Poll(),
        RetryRefunds(),
        GatewayNotified("pi"),
    ]
    for command in unasked:
        assert session.tell(command) == Decision()


def test_a_webhook_is_on_record_and_starts_a_look() -> None:
    session = running()
    noted = WebhookReceived("evt_1", "payment_intent.succeeded", "pi")
    news = GatewayNotified("pi", "evt_1", "payment_intent.succeeded")
    decision = session.tell(news)
    assert decision.events == (noted, LookStarted(1, 0))
    assert started(decision) == [LookUp("o", "pi", 1)]
    ended = paid()
    assert ended.tell(news) == Decision(events=(noted,))
    assert Session().tell(news) == Decision(), "nothing is written of a session that never was"


def test_what_the_gateway_said_and_which_card_it_was_are_kept() -> None:
    outcome = Outcome("succeeded", captured=500, brand="visa", last4="4242", raw="{}")
    session = Session(OPEN, IntentCreated("pi"))
    assert session.tell(AttemptAnswered(1, outcome)).events == (PaymentCaptured(500, "EUR", "visa", "4242", "{}"),)
    assert (view(session.state).brand, view(session.state).last4) == ("visa", "4242")
    session.tell(Refund("r1", 100))
    answered = session.tell(RefundAnswered("r1", 1, True, raw='{"ok":true}'))
    assert answered.events == (PaymentRefunded("r1", 100, "EUR", '{"ok":true}'),)
    failed = running().tell(AttemptAnswered(1, Outcome("failed", code="declined", raw="{}")))
    assert failed.events == (PaymentFailed("declined", "{}"),)


OLD_EVENTS = [
    ({"type": "PaymentCaptured/1", "amount": 500, "currency": "EUR"}, PaymentCaptured(500, "EUR")),
    ({"type": "PaymentFailed/1", "code": "declined"}, PaymentFailed("declined")),
    ({"type": "PaymentClosed/1", "reason": "deadline"}, PaymentClosed("deadline")),
    ({"type": "PaymentActionRequired/1", "url": "/p", "kind": "redirect"}, PaymentActionRequired("/p", "redirect")),
    (
        {"type": "PaymentRefunded/1", "refund_id": "r", "amount": 1, "currency": "EUR"},
        PaymentRefunded("r", 1, "EUR"),
    ),
    ({"type": "RefundFailed/1", "refund_id": "r", "code": "x", "final": True}, RefundFailed("r", "x", True)),
]


@pytest.mark.parametrize(("record", "event"), OLD_EVENTS)
def test_events_of_before_are_read(record: dict[str, object], event: Message) -> None:
    assert PAYMENT.event(msgspec.msgpack.encode(record)) == event


def test_commands_and_states_of_before_are_read() -> None:
    notified = {"type": "GatewayNotified/1", "intent_id": "pi"}
    assert PAYMENT.command(msgspec.msgpack.encode(notified)) == GatewayNotified("pi")
    answered = {"type": "AttemptAnswered/1", "attempt": 1, "outcome": {"status": "succeeded", "captured": 500}}
    assert PAYMENT.command(msgspec.msgpack.encode(answered)) == AttemptAnswered(1, SUCCEEDED)
    plain = msgspec.to_builtins(paid().state)
    del plain["brand"], plain["last4"]
    assert PAYMENT.state_of(msgspec.msgpack.encode(plain)) == paid().state


def test_a_dispute_is_noted_once_in_each_state_and_changes_nothing_else() -> None:
    session = paid()
    before = view(session.state)
    opened = NoteDispute("du_1", 500, "EUR", "fraudulent", "needs_response")
    assert session.tell(opened).events == (DisputeNoted("du_1", 500, "EUR", "fraudulent", "needs_response"),)
    assert session.tell(opened) == Decision()
    lost = NoteDispute("du_1", 500, "EUR", "fraudulent", "lost")
    decision = session.tell(lost)
    assert decision.events == (DisputeNoted("du_1", 500, "EUR", "fraudulent", "lost"),)
    assert (decision.effects, decision.sends) == ((), ())
    assert view(session.state) == before
