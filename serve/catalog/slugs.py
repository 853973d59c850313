"""Names as they stand in addresses."""

import re
import unicodedata

from serve.catalog.schemas import CatalogRefused, CategoryName

LEVELS = 6
_OTHER = re.compile(r"[^a-z0-9]+")
_SPELLED_OUT = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "đ": "d", "&": " and "})


def slugify(text: str) -> str:
    """Lower-case letters and digits joined by hyphens, at most 100 characters; empty if nothing of the text remains."""
    folded = unicodedata.normalize("NFKD", text.lower().translate(_SPELLED_OUT))
    ascii_only = "".join(character for character in folded if not unicodedata.combining(character))
    return _OTHER.sub("-", ascii_only).strip("-")[:100].strip("-")


def category_steps(path: str) -> list[CategoryName]:
    """The categories named by a path of names or slugs, from the root down: ``Kitchen/Tea & Coffee``.

    Raises `CatalogRefused` ``bad_category`` for an empty step, or one with no letter or digit, or too many.
    """
    steps: list[CategoryName] = []
    above = ""
    for part in path.strip().strip("/").split("/"):
        name = " ".join(part.split())
        slug = slugify(name)
        if not slug:
            raise CatalogRefused("bad_category", f"{path!r} has a step without a name.")
        above = f"{above}/{slug}" if above else slug
        steps.append(CategoryName(above, name))
    if len(steps) > LEVELS or len(above) > 200:
        raise CatalogRefused("bad_category", f"A category lies at most {LEVELS} levels deep, in 200 characters.")
    return steps


def paths_to(path: str) -> list[str]:
    """The paths from the root down to a category: ``a/b`` gives ``a`` and ``a/b``."""
    steps = path.split("/")
    return ["/".join(steps[: depth + 1]) for depth in range(len(steps))]
