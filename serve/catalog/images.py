"""Product images: SVG drawings, kept with the catalogue and checked before they are."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from xml.etree import ElementTree

import msgspec
from sqlalchemy import select, update

from pipelines.sql.retrying import transaction
from pipelines.sql.words import insert_missing
from serve.catalog.schemas import CatalogRefused, Slug
from serve.catalog.store import Store
from serve.catalog.tables import images

MAX_BYTES = 64 * 1024
_SVG = "{http://www.w3.org/2000/svg}"
_SHAPES = {"path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan"}
_STRUCTURE = {"svg", "g", "defs", "title", "desc", "use", "symbol"}
_PAINT = {"clipPath", "mask", "pattern", "linearGradient", "radialGradient", "stop"}
_FILTERS = {"filter", "feGaussianBlur", "feOffset", "feMerge", "feMergeNode", "feBlend", "feFlood"}
_DRAWN_WITH = _SHAPES | _STRUCTURE | _PAINT | _FILTERS
_ELSEWHERE = re.compile(r"url\(\s*['\"]?(?!#)", re.IGNORECASE)


class Image(msgspec.Struct, frozen=True):
    """A drawing under its name. `digest` changes with the drawing."""

    name: str
    svg: str
    digest: str


def checked_image(name: str, svg: str) -> Image:
    """The image, if it draws and does nothing else. Raises `CatalogRefused` ``bad_image``.

    A browser runs what an SVG of ours says as if we had said it: only elements that draw pass, none from elsewhere.
    """
    try:
        msgspec.convert(name, Slug)
    except msgspec.ValidationError:
        raise CatalogRefused(
            "bad_image", f"{name[:80]!r} is not a name of lower-case letters, digits and hyphens."
        ) from None
    reason = _why_not(svg)
    if reason is not None:
        raise CatalogRefused("bad_image", f"Image {name!r} {reason}.")
    return Image(name, svg, blake2b(svg.encode(), digest_size=12).hexdigest())


@transaction(again=True)
def put_images(store: Store, drawn: Sequence[Image]) -> None:
    """Creates or replaces images in one transaction."""
    with store.writing() as connection:
        for image in drawn:
            values = {"svg": image.svg, "digest": image.digest}
            insert_missing(connection, images, [{"name": image.name, **values}])
            connection.execute(update(images).where(images.c.name == image.name).values(values))


def get_image(store: Store, name: str) -> Image | None:
    """The image of this name, or None."""
    with store.reading() as connection:
        row = connection.execute(select(*images.c["name", "svg", "digest"]).where(images.c.name == name)).first()
    return None if row is None else Image(*row)


def _why_not(svg: str) -> str | None:
    if len(svg.encode()) > MAX_BYTES:
        return f"is larger than {MAX_BYTES} bytes"
    if "<!" in svg.replace("<!--", "") or "<?xml-stylesheet" in svg:
        return "declares a document type or a style sheet"
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        return f"is not well-formed XML ({error})"
    if root.tag != f"{_SVG}svg":
        return "is not an SVG document"
    for element in root.iter():
        tag = element.tag.removeprefix(_SVG) if isinstance(element.tag, str) else ""
        if tag not in _DRAWN_WITH:
            return f"has an element {tag!r}, which is not one to draw with"
        for attribute, value in element.attrib.items():
            plain = attribute.rpartition("}")[2].lower()
            if plain.startswith("on") or (plain == "href" and not value.startswith("#")) or _ELSEWHERE.search(value):
                return f"has an attribute {plain!r} that runs or fetches something"
    return None
