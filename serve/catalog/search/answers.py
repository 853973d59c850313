"""What every engine makes of what it found."""

import base64
import binascii
from collections.abc import Iterable

import msgspec

from pipelines.events.catalog import ProductFacts
from serve.catalog.search.analysis import Analysis, folded
from serve.catalog.search.base import DEEPEST, BadCursor, Hit, Matched, Sort, Suggestion
from serve.catalog.search.documents import HIGHEST_KEY, active, category_paths
from serve.catalog.search.highlights import Marker
from serve.catalog.search.queries import Words

# Fewer products than this, and words that are nearly right are looked for too.
ENOUGH = 3


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """`after`: the last key, or for relevance and names how many came before."""

    sort: Sort
    matched: Matched
    after: int


def sealed(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).rstrip(b"=").decode()


def unsealed(text: str, sort: Sort) -> Cursor:
    """Raises BadCursor."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(raw, type=Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise BadCursor from None
    top = DEEPEST if sort in ("relevance", "name") else HIGHEST_KEY
    if cursor.sort != sort or not 0 <= cursor.after < top:
        raise BadCursor
    return cursor


def hit(product: ProductFacts, available: bool, typed: Words, marker: Marker) -> Hit:
    """Of a product that has active variants."""
    variants = active(product)
    prices = [variant.price for variant in variants]
    meant = [variant.sku for variant in variants if folded(variant.sku) == typed.whole]
    paths = category_paths(product)
    return Hit(
        id=product.id,
        sku=(meant or [variants[0].sku])[0],
        slug=product.slug,
        name=product.name,
        category=paths[-1][0] if paths else "",
        price=min(prices),
        price_max=max(prices),
        image=product.image,
        available=available,
        highlights=marker.highlights(product.name, product.description),
    )


def longer(text: str, typed: Words, terms: Iterable[str]) -> list[Suggestion]:
    """What was typed with its last word become one of the terms."""
    before = " ".join(text.split()[:-1])
    return [Suggestion(kind="words", text=f"{before} {term}".strip()) for term in terms if term != typed.words[-1]]


def categories_named(found: Iterable[ProductFacts], typed: Words, analysis: Analysis) -> list[Suggestion]:
    """Of what was found, those whose own name has the last word or begins with it."""
    named: dict[str, str] = {}
    for facts in found:
        for path, name in category_paths(facts):
            words = analysis.words(name)
            stem = analysis.stem(typed.words[-1])
            if any(word.startswith(typed.words[-1]) or analysis.stem(word) == stem for word in words):
                named.setdefault(path, name)
    return [Suggestion(kind="category", text=name, target=path) for path, name in named.items()]


def product(facts: ProductFacts) -> Suggestion:
    return Suggestion(kind="product", text=facts.name, target=facts.slug, image=facts.image)
