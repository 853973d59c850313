"""Templates are translated when they are compiled, once for each language; rendering then looks nothing up."""

import re

from jinja2 import Environment
from jinja2.ext import Extension

from serve.notifications.languages import Language, translations

_BLOCK = re.compile(r"\{% trans(?P<names> [^%]*)? %\}(?P<text>.*?)\{% endtrans %\}", re.DOTALL)
_NAMED = re.compile(r"\{\{ (\w+) \}\}")
_PLACE = re.compile(r"%\((\w+)\)s")


class Translating(Extension):
    """Reads `trans` blocks as jinja2's own extension for them does, as far as we use it, which is enough for babel to
    find the texts: ``{% trans day=at | day %}It came on {{ day }}.{% endtrans %}``.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.language: Language = "en"

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return _BLOCK.sub(self._translated, source)

    def _translated(self, block: re.Match[str]) -> str:
        named = dict(part.strip().split("=", 1) for part in (block["names"] or "").split(", ") if part)
        text = _NAMED.sub(r"%(\1)s", block["text"].strip())
        found = translations(self.language).gettext(text)
        return _PLACE.sub(lambda place: f"{{{{ {named.get(place[1], place[1])} }}}}", found)
