"""The users' routes."""

from fastapi import APIRouter

from serve.gateway.keys import Keys
from serve.users.account_api import ACCOUNT_LIMITS, account_routes
from serve.users.accounts import Accounts
from serve.users.address_api import address_routes
from serve.users.reset_api import RESET_LIMITS, reset_routes
from serve.users.sessions import Sessions
from serve.users.sessions_api import SESSION_LIMITS, session_routes

STRICT_LIMITS = {**ACCOUNT_LIMITS, **RESET_LIMITS, **SESSION_LIMITS}
"""For the front: an address may try these less often than the rest."""


def router(accounts: Accounts, sessions: Sessions, keys: Keys) -> APIRouter:
    routes = APIRouter()
    routes.include_router(session_routes(sessions, keys))
    routes.include_router(account_routes(accounts))
    routes.include_router(reset_routes(accounts))
    routes.include_router(address_routes(accounts.addresses))
    return routes
