"""Stripe's routes, those that a shop uses: from a method, a path and its parameters to an object."""

import re
from typing import Any

from tests.stripe_wire.errors import Refused, missing
from tests.stripe_wire.forms import Params
from tests.stripe_wire.ledger import Ledger, Object

NAMES = {"payment_intents": "payment_intent", "refunds": "refund", "charges": "charge", "disputes": "dispute"}
_QUERY = re.compile(r"metadata\['(\w+)'\]:'((?:[^'\\]|\\.)*)'")


def routed(ledger: Ledger, method: str, path: str, params: Params) -> Object:
    """The answer. Raises Refused."""
    parts = path.removeprefix("/v1/").split("/")
    match (method, *parts):
        case ("POST", "payment_intents"):
            found = ledger.create(params)
        case ("POST", "payment_intents", name):
            found = ledger.update(name, params)
        case ("POST", "payment_intents", name, "confirm"):
            found = ledger.confirm(name, params)
        case ("POST", "payment_intents", name, "cancel"):
            found = ledger.cancel(name)
        case ("POST", "payment_intents", name, "capture"):
            found = ledger.capture(name)
        case ("GET", "payment_intents", "search"):
            return _page(ledger, "search_result", path, _searched(ledger, params), params)
        case ("GET", "payment_intents", name):
            found = ledger.intent(name)
        case ("POST", "checkout", "sessions"):
            found = ledger.open_page(params)
        case ("POST", "checkout", "sessions", name, "expire"):
            found = ledger.expire(name)
        case ("GET", "checkout", "sessions", name):
            found = ledger.hosted_page(name)
        case ("POST", "refunds"):
            found = ledger.refund(params)
        case ("GET", kind) if kind in NAMES:
            return _page(ledger, "list", path, _listed(_all(ledger, kind), params), params)
        case ("GET", kind, name) if kind in NAMES:
            if name not in _all(ledger, kind):
                raise missing(NAMES[kind], name, "id")
            found = _all(ledger, kind)[name]
        case _:
            raise Refused(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path}).")
    return expanded(ledger, found, params.get("expand", []))


def expanded(ledger: Ledger, found: Object, names: list[str]) -> Object:
    made = dict(found)
    if "payment_intent.latest_charge" in names and made.get("payment_intent"):
        made["payment_intent"] = expanded(ledger, ledger.intent(made["payment_intent"]), ["latest_charge"])
    if "latest_charge" in names and made.get("latest_charge"):
        made["latest_charge"] = ledger.charges[made["latest_charge"]]
    if "payment_method" in names and made.get("payment_method"):
        kind = "ideal" if "redirect" in made["payment_method"] else "card"
        made["payment_method"] = {"id": made["payment_method"], "object": "payment_method", "type": kind}
    return made


def _all(ledger: Ledger, kind: str) -> dict[str, Object]:
    found: dict[str, Object] = {
        "payment_intents": ledger.intents,
        "refunds": ledger.refunds,
        "charges": ledger.charges,
        "disputes": ledger.disputes,
    }[kind]
    return found


def _searched(ledger: Ledger, params: Params) -> list[Object]:
    query = _QUERY.fullmatch(params["query"])
    if query is None:
        raise Refused(400, "invalid_request_error", "We were unable to parse your search query.")
    name, value = query[1], re.sub(r"\\(.)", r"\1", query[2])
    for intent in ledger.intents:
        ledger.settle(intent)
    return [one for one in reversed(ledger.intents.values()) if one["metadata"].get(name) == value]


def _listed(found: dict[str, Object], params: Params) -> list[Object]:
    """Newest first; `created` in seconds."""
    made = params.get("created", {})
    rows = [one for one in reversed(found.values()) if _within(one["created"], made)]
    if "payment_intent" in params:
        rows = [one for one in rows if one.get("payment_intent") == params["payment_intent"]]
    if "starting_after" in params:
        names = [one["id"] for one in rows]
        rows = rows[names.index(params["starting_after"]) + 1 :]
    return rows


def _within(created: int, bounds: Params) -> bool:
    return int(bounds.get("gte", 0)) <= created < int(bounds.get("lt", 2**53))


def _page(ledger: Ledger, kind: str, path: str, rows: list[Object], params: Params) -> Object:
    limit = int(params.get("limit", 10))
    names = [one.removeprefix("data.") for one in params.get("expand", [])]
    data: list[Any] = [expanded(ledger, one, names) for one in rows[:limit]]
    return {"object": kind, "url": path, "has_more": len(rows) > limit, "data": data}
