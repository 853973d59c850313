"""The users' routes in front of a database that a test breaks."""

from pathlib import Path

from fastapi import FastAPI

from serve.gateway.call import Bounds
from serve.gateway.front import Front
from serve.gateway.keys import Keys
from serve.gateway.passwords import Passwords
from serve.gateway.tokens import Tokens
from serve.users.accounts import Accounts
from serve.users.api import router
from serve.users.sessions import Sessions
from serve.users.store import open_engine

ADA = {"email": "ada@example.com", "password": "three wet umbrellas", "name": "Ada Byron"}
LOG_IN = {"email": ADA["email"], "password": ADA["password"]}
LOOKS = ("/api/users/me", "/api/users/me/activity", "/api/users/sessions", "/api/users/me/addresses")


class Users:
    """`address`: as `open_engine` takes it."""

    def __init__(self, address: str | Path, bounds: Bounds) -> None:
        self.engine = open_engine(address)
        self.passwords = Passwords(memory_kib=64, time_cost=1)
        keys = Keys(self.engine)
        tokens = Tokens(keys)
        accounts, sessions = Accounts(self.engine, self.passwords), Sessions(self.engine, tokens, self.passwords)
        app = FastAPI()
        app.include_router(router(accounts, sessions, keys))
        self.front = Front(app, tokens=tokens, bounds=bounds)

    def close(self) -> None:
        self.passwords.close()
        self.engine.dispose()


def changes(refresh_token: str) -> dict[str, dict[str, str]]:
    """What is posted, by where to."""
    return {
        "/api/users": {**ADA, "email": "bob@example.com"},
        "/api/users/sessions": LOG_IN,
        "/api/users/sessions/refresh": {"refresh_token": refresh_token},
        "/api/users/password-resets": {"email": ADA["email"]},
    }
