"""Somebody who asks a front door all the time while the shop's keys change."""

import threading
from collections.abc import Callable
from typing import Self

import httpx
import jwt

from tests.contract.edge import CUT_OFF
from tests.waiting import eventually


class Asking:
    """Asks the front door for a path again and again, each time with a new token."""

    def __init__(self, url: str, path: str, token: Callable[[], str]) -> None:
        self.statuses: list[int] = []
        self.kids: dict[str, None] = {}
        self._url, self._path, self._token = url, path, token
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def more(self, count: int) -> None:
        wanted = len(self.statuses) + count
        eventually(lambda: len(self.statuses) >= wanted, 30.0)

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as web:
            while not self._over.is_set():
                token = self._token()
                self.kids[jwt.get_unverified_header(token)["kid"]] = None
                try:
                    answer = web.get(self._path, headers={"Authorization": f"Bearer {token}"})
                except httpx.TransportError:
                    self.statuses.append(CUT_OFF)
                else:
                    self.statuses.append(answer.status_code)
