"""What a payment session decides.

What the gateway says of an attempt counts only if it was asked after it had answered that attempt: a look that set
out earlier may have seen the one before. That money moved, or never will (`canceled`), counts whenever it is said.
"""

from typing import assert_never

from actors.decision import Context, Decision
from actors.draft import Draft
from actors.order import AUTOMATIC_REFUND, CASH_ON_DELIVERY
from actors.payment import (
    COMMANDS,
    EVENTS,
    AttemptAnswered,
    AttemptStarted,
    CancelAnswered,
    CancelAsked,
    CancelIntent,
    Cancelled,
    Capture,
    CaptureAnswered,
    CaptureAsked,
    CaptureEnded,
    CaptureIntent,
    CashRecorded,
    Close,
    ClosingBegan,
    ConfirmIntent,
    CreateIntent,
    DisputeNoted,
    GatewayNotified,
    IntentAsked,
    IntentCreated,
    IntentMade,
    IntentRefused,
    LookedUp,
    LookEnded,
    LookStarted,
    LookUp,
    LookWanted,
    NextMethodSet,
    NoteDispute,
    NoteRefundFailed,
    Open,
    Outcome,
    PaymentActionRequired,
    PaymentAuthorised,
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
    RefundRow,
    RefundStarted,
    RetryRefunds,
    SessionOpened,
    TryMethod,
    WebhookReceived,
    apply,
)

FIRST_POLL = 2_000
"""Milliseconds until a session looks of its own accord; twice as long each time, up to `LONGEST_POLL`."""

LONGEST_POLL = 600_000

FIRST_RETRY = 60_000
"""Milliseconds until a refused refund that must be is asked for again; then twice as long, up to `LONGEST_RETRY`."""

LONGEST_RETRY = 86_400_000


class _Draft(Draft[PaymentState, EVENTS]):
    def __init__(self, state: PaymentState, context: Context) -> None:
        super().__init__(state, apply)
        self.now = context.now


def decide(state: PaymentState, command: COMMANDS, context: Context) -> Decision:
    draft = _Draft(state, context)
    match command:
        case Open() | TryMethod() | Close():
            _asked_by_order(draft, command)
        case Capture():
            _capture(draft)
        case Refund():
            _refund(draft, command)
        case RecordCash(amount, currency, owner):
            if not state.captured and not state.opened:
                draft.add(CashRecorded(amount, currency, owner))
        case RefundAnswered():
            _refund_answered(draft, command)
        case NoteRefundFailed():
            _refund_fell(draft, command)
        case RetryRefunds():
            _retry_refunds(draft)
        case IntentCreated(intent, number, outcome):
            if state.creating and number == state.creations:
                draft.add(IntentMade(intent))
                if outcome is not None:
                    _hear(draft, outcome, counts=state.attempt_state == "sent")
        case IntentRefused(code, number):
            if state.creating and number == state.creations:
                draft.add(PaymentFailed(code))
        case AttemptAnswered(attempt, outcome):
            _hear(draft, outcome, counts=attempt == state.attempt and state.attempt_state == "sent")
        case Cancelled(outcome):
            _cancel_answered(draft, outcome)
        case CaptureAnswered():
            _capture_answered(draft, command)
        case NoteDispute(dispute, amount, currency, reason, status):
            if state.disputes.get(dispute) != status:
                draft.add(DisputeNoted(dispute, amount, currency, reason, status))
        case GatewayNotified() | Poll() | LookedUp():
            if isinstance(command, GatewayNotified) and command.event_id and state.opened:
                draft.add(WebhookReceived(command.event_id, command.event_type, command.intent_id or ""))
            _look(draft, command)
        case _:
            assert_never(command)
    if not isinstance(command, Cancelled | CaptureAnswered):
        _advance(draft)
    _schedule(draft, state, fired=isinstance(command, Poll))
    return draft.decision()


def _asked_by_order(draft: _Draft, command: Open | TryMethod | Close) -> None:
    state = draft.state
    if state.closed or state.closing or state.captured:
        return
    match command:
        case Open():
            if not state.opened and command.amount > 0 and command.method != CASH_ON_DELIVERY:
                draft.add(
                    SessionOpened(
                        command.amount,
                        command.currency,
                        command.method,
                        command.reference,
                        command.deadline_at,
                        command.owner,
                        command.capture_method,
                    )
                )
                _create(draft)
        case TryMethod(method, reference, number):
            if number > state.last_try and state.attempt_state != "authorised":
                draft.add(NextMethodSet(method, reference, number))
        case Close(reason):
            draft.add(ClosingBegan(reason))


def _hear(draft: _Draft, outcome: Outcome, *, counts: bool) -> None:
    """Takes in what the gateway says. `counts`: it is known to be about the running attempt."""
    state = draft.state
    if state.captured:
        return
    if outcome.status == "succeeded":
        _captured(draft, outcome)
        return
    if state.closed:
        return
    if outcome.status == "canceled":
        draft.add(PaymentClosed(state.closing or "gateway", outcome.raw))
    elif counts and state.attempt_state == "authorised":
        if outcome.status == "failed" and not state.closing:
            # Nothing is set aside any more, and the order counted on it.
            draft.add(ClosingBegan("authorisation_lost"))
    elif counts:
        if outcome.status == "authorised":
            card = {"brand": outcome.brand, "last4": outcome.last4}
            draft.add(PaymentAuthorised(state.amount, state.currency, raw=outcome.raw, **card))
        elif outcome.status == "failed" and state.attempt_state != "failed":
            draft.add(PaymentFailed(outcome.code, outcome.raw))
        elif outcome.status == "requires_action" and state.attempt_state != "action":
            draft.add(PaymentActionRequired(outcome.action_url, outcome.action_type, outcome.raw))
        elif outcome.status == "processing" and state.attempt_state != "processing":
            draft.add(PaymentProcessing())


def _captured(draft: _Draft, outcome: Outcome) -> None:
    """Whoever was told that the session is closed counts on it: then the money goes back at once."""
    closed = draft.state.closed
    amount = outcome.captured or draft.state.amount
    draft.add(PaymentCaptured(amount, draft.state.currency, brand=outcome.brand, last4=outcome.last4, raw=outcome.raw))
    if closed:
        _start_refund(draft, AUTOMATIC_REFUND, amount, must=True, number=1)


def _cancel_answered(draft: _Draft, outcome: Outcome) -> None:
    """If the intent still stands it is looked at before it is cancelled again, after a while."""
    if draft.state.cancelling:
        draft.add(CancelAnswered())
        _hear(draft, outcome, counts=True)
    else:
        _hear(draft, outcome, counts=False)


def _capture(draft: _Draft) -> None:
    """Asked once by the order; from then on the session sees to it."""
    state = draft.state
    if state.attempt_state == "authorised" and not state.captures and not _ended(state) and not state.closing:
        _ask_capture(draft)


def _ask_capture(draft: _Draft) -> None:
    state = draft.state
    draft.add(CaptureAsked(state.captures + 1))
    draft.start(CaptureIntent(state.id, state.intent, state.captures + 1))


def _capture_answered(draft: _Draft, answer: CaptureAnswered) -> None:
    """If nothing was captured the intent is looked at before it is asked again, after a while."""
    current = draft.state.capturing and answer.number == draft.state.captures
    if current:
        draft.add(CaptureEnded(answer.number))
    _hear(draft, answer.outcome, counts=current)
    if draft.state.closing:
        _advance(draft)


def _look(draft: _Draft, command: GatewayNotified | Poll | LookedUp) -> None:
    state = draft.state
    if isinstance(command, LookedUp):
        if not state.looking or command.number != state.look:
            _hear(draft, command.outcome, counts=False)
            return
        draft.add(LookEnded(command.number))
        _hear(draft, command.outcome, counts=state.look_counts)
        if state.look_again and not _ended(draft.state):
            _start_look(draft, draft.state.polls)
        return
    if _ended(state) or not state.intent:
        return
    if isinstance(command, Poll):
        if _unsure(state) and not state.looking:
            _start_look(draft, state.polls + 1)
    elif command.intent_id in (None, state.intent):
        if not state.looking:
            _start_look(draft, state.polls)
        elif not state.look_again:
            draft.add(LookWanted())


def _start_look(draft: _Draft, polls: int) -> None:
    number = draft.state.look + 1
    draft.add(LookStarted(number, polls))
    draft.start(LookUp(draft.state.id, draft.state.intent, number))


def _advance(draft: _Draft) -> None:
    """Goes on to what can be done now: the next attempt, or closing. Neither while an outcome is unknown."""
    state = draft.state
    if _ended(state) or state.creating or state.attempt_state in ("sent", "processing"):
        return
    if state.capturing:
        return
    if state.closing:
        if not state.intent:
            draft.add(PaymentClosed(state.closing))
        elif not state.cancelling and not state.looking:
            draft.add(CancelAsked(state.cancels + 1))
            draft.start(CancelIntent(state.id, state.intent, state.cancels + 1))
    elif state.attempt_state == "authorised":
        if state.captures and not state.looking:
            _ask_capture(draft)
    elif state.next_method is not None and state.opened:
        if state.intent:
            method, reference = state.next_method
            draft.add(AttemptStarted(state.attempt + 1, method, reference))
            draft.start(ConfirmIntent(state.id, state.intent, state.attempt + 1, method, reference, draft.now))
        else:
            draft.add(IntentAsked(state.creations + 1))
            _create(draft)


def _create(draft: _Draft) -> None:
    """Asks for the intent together with the attempt that is wished for."""
    state = draft.state
    if state.next_method is not None:
        method, reference = state.next_method
        number = state.attempt + 1
        draft.add(AttemptStarted(number, method, reference))
        draft.start(
            CreateIntent(
                state.id,
                state.amount,
                state.currency,
                state.creations,
                number,
                method,
                reference,
                draft.now,
                state.capture_method,
            )
        )


def _ended(state: PaymentState) -> bool:
    return state.closed or state.captured > 0


def _unsure(state: PaymentState) -> bool:
    """There is something to find out that nobody may tell."""
    running = state.attempt_state in ("sent", "processing", "action") or state.capture_owed
    return not _ended(state) and (bool(state.closing) or running)


def _schedule(draft: _Draft, before: PaymentState, *, fired: bool) -> None:
    """The next look of its own accord; while one is under way it waits for that."""
    state = draft.state
    if _unsure(state) and state.intent and not state.looking:
        if state is not before or fired:
            delay = min(FIRST_POLL << min(state.polls, 16), LONGEST_POLL)
            draft.set_timer("poll", draft.now + delay, Poll())
    elif _unsure(before) and not _unsure(state):
        draft.clear_timer("poll")


def _refund(draft: _Draft, command: Refund) -> None:
    state = draft.state
    if command.refund_id in state.refunds:
        return
    amount = min(command.amount, state.refundable) if command.must else command.amount
    if 0 < amount <= state.refundable:
        _start_refund(draft, command.refund_id, amount, must=command.must, number=1)
    elif not command.must:
        draft.add(RefundFailed(command.refund_id, "too_large", final=True))


def _start_refund(draft: _Draft, refund_id: str, amount: int, *, must: bool, number: int) -> None:
    """Cash goes back by hand, so it is gone when that is recorded."""
    state = draft.state
    draft.add(RefundStarted(refund_id, amount, must, number))
    if state.cash:
        draft.add(PaymentRefunded(refund_id, amount, state.currency))
    else:
        draft.start(RefundIntent(state.id, state.intent, refund_id, amount, number, draft.now))


def _refund_answered(draft: _Draft, answer: RefundAnswered) -> None:
    row = draft.state.refunds.get(answer.refund_id)
    if row is None or row.status != "asked" or row.number != answer.number:
        return
    if answer.ok:
        draft.add(PaymentRefunded(answer.refund_id, row.amount, draft.state.currency, answer.raw))
        return
    draft.add(RefundFailed(answer.refund_id, answer.code, final=not row.must, raw=answer.raw))
    if row.must:
        _retry_later(draft, row)


def _refund_fell(draft: _Draft, news: NoteRefundFailed) -> None:
    """What was taken for paid back is not; this news may come before the answer that it was taken."""
    row = draft.state.refunds.get(news.refund_id)
    if row is None or row.status == "failed" or row.number != news.number:
        return
    draft.add(RefundFailed(news.refund_id, news.code, final=not row.must, reverses=row.status == "refunded"))
    if row.must:
        _retry_later(draft, row)


def _retry_later(draft: _Draft, row: RefundRow) -> None:
    delay = min(FIRST_RETRY << min(row.number - 1, 16), LONGEST_RETRY)
    draft.set_timer("refunds", draft.now + delay, RetryRefunds())


def _retry_refunds(draft: _Draft) -> None:
    for refund_id, row in draft.state.refunds.items():
        if row.must and row.status == "failed":
            _start_refund(draft, refund_id, row.amount, must=True, number=row.number + 1)
