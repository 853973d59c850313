"""The catalogue's routes. All are lean: products and lists are what a shop answers most."""

from collections.abc import Awaitable, Callable, Hashable
from functools import wraps
from typing import Any

import msgspec

from serve.catalog.examples import DRAFT, EXAMPLES
from serve.catalog.recent import Recent
from serve.catalog.schemas import (
    CatalogRefused,
    CategoryTree,
    ProductBody,
    ProductChange,
    ProductDraft,
    ProductPage,
    ProductsQuery,
    VariantContent,
)
from serve.catalog.service import Catalog
from serve.gateway.lean import JSON, Handler, Request, Response, Routes, empty, json
from serve.gateway.problems import Problem, declare

NO_SUCH_PRODUCT = declare("no_such_product", 404, "No such product")
NO_SUCH_CATEGORY = declare("no_such_category", 404, "No such category")
NO_SUCH_IMAGE = declare("no_such_image", 404, "No such image")
BAD_CURSOR = declare("bad_cursor", 400, "The cursor is not of this list")
BAD_SKU = declare("bad_sku", 422, "Unusable SKU")
BAD_CATEGORY = declare("bad_category", 422, "Unusable category path")
BAD_IMAGE = declare("bad_image", 422, "Unusable image")
BAD_NAME = declare("bad_name", 422, "Unusable name")
BAD_VARIANTS = declare("bad_variants", 422, "Unusable variants")
BAD_ATTRIBUTE = declare("bad_attribute", 422, "Unusable attribute")
HAS_VARIANTS = declare("has_variants", 409, "The product has variants that would be lost")
SKU_TAKEN = declare("sku_taken", 409, "The SKU is in use elsewhere")
NO_SUCH_VARIANT = declare("no_such_variant", 404, "No such variant")
LAST_VARIANT = declare("last_variant", 409, "The product's only variant")
SLUG_TAKEN = declare("slug_taken", 409, "Another product has this slug")
VERSION_CHANGED = declare("version_changed", 409, "The product was changed meanwhile")

IMAGE_HEADERS = {
    "content-type": "image/svg+xml",
    # An hour from the cache, then a question whether it changed, during which the old one may be shown.
    "cache-control": "public, max-age=3600, stale-while-revalidate=86400",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "x-content-type-options": "nosniff",
}
_SHAPE_PROBLEMS = (BAD_SKU, BAD_NAME, BAD_CATEGORY, BAD_VARIANTS, BAD_ATTRIBUTE, HAS_VARIANTS, SKU_TAKEN, SLUG_TAKEN)
_encode = msgspec.json.Encoder().encode


def catalog_routes(catalog: Catalog) -> Routes:
    """All routes of the catalogue, for shoppers and for staff."""
    routes = Routes(tag="catalog", examples=EXAMPLES)
    _add_shopper_routes(routes, catalog)
    _add_image_route(routes, catalog)
    _add_staff_routes(routes, catalog)
    _add_variant_routes(routes, catalog)
    return routes


def _add_shopper_routes(routes: Routes, catalog: Catalog) -> None:
    recent = Recent(lambda: catalog.generation)

    async def answer(key: Hashable, make: Callable[[], Awaitable[Any]]) -> Response:
        async def encoded() -> bytes:
            return _encode(await make())

        return Response(200, await recent.get(key, encoded), [JSON])

    @routes.get("/api/catalog/categories", summary="The tree of categories", answers={200: CategoryTree})
    @_told_as_problems
    async def categories(_: Request) -> Response:
        return await answer("categories", catalog.categories)

    @routes.get(
        "/api/catalog/products",
        summary="Products of a category and those below it, or all",
        description="Only what is for sale. Send `next` as `cursor`, with the same `sort`, until it is null.",
        query=ProductsQuery,
        answers={200: ProductPage},
        problems=(NO_SUCH_CATEGORY, BAD_CURSOR),
    )
    @_told_as_problems
    async def products(request: Request) -> Response:
        query: ProductsQuery = request.query
        return await answer(
            query,
            lambda: catalog.products(category=query.category, sort=query.sort, cursor=query.cursor, limit=query.limit),
        )

    @routes.get(
        "/api/catalog/products/{slug}",
        summary="A product with all of its details",
        description="Also one that is no longer sold (`status` is `gone`), so that an old link still says what it was.",
        answers={200: ProductBody},
        problems=(NO_SUCH_PRODUCT,),
    )
    @_told_as_problems
    async def product(request: Request) -> Response:
        slug: str = request.params["slug"]
        return await answer(("product", slug), lambda: catalog.product(slug))


def _add_image_route(routes: Routes, catalog: Catalog) -> None:
    @routes.get(
        "/api/catalog/images/{file}",
        summary="A product's image",
        description="An SVG drawing, `NAME.svg`.",
        headers={"If-None-Match": "The ETag of the drawing that the caller has."},
        answers={200: None, 304: None},
        problems=(NO_SUCH_IMAGE,),
    )
    @_told_as_problems
    async def image(request: Request) -> Response:
        name, dot, kind = request.params["file"].rpartition(".")
        if not dot or kind != "svg":
            raise CatalogRefused(NO_SUCH_IMAGE, "Images are named NAME.svg.")
        found = await catalog.image(name)
        etag = f'"{found.digest}"'
        headers = IMAGE_HEADERS | {"etag": etag}
        known = {tag.strip().removeprefix("W/") for tag in (request.header("if-none-match") or "").split(",")}
        if known & {etag, "*"}:
            return empty(304, headers)
        raw = [(field.encode(), value.encode()) for field, value in headers.items()]
        return Response(200, found.svg.encode(), raw)


def _add_staff_routes(routes: Routes, catalog: Catalog) -> None:
    path = "/api/admin/products/{sku}"

    @routes.get(
        path,
        summary="A product by its key or by a SKU of it",
        access="staff",
        answers={200: ProductBody},
        problems=(NO_SUCH_PRODUCT,),
    )
    @_told_as_problems
    async def read(request: Request) -> Response:
        return json(await catalog.product_of_sku(request.params["sku"]))

    @routes.put(
        path,
        summary="Create a product, or replace it",
        description=(
            "With `price` it is one thing, whose SKU is that of the path. With `variants` it is these; one that is not "
            "in the list any more is removed. The same again changes nothing. A slug or image not named stays. "
            "Missing categories are made."
        ),
        access="staff",
        body=ProductDraft,
        example=DRAFT,
        answers={200: ProductBody, 201: ProductBody},
        problems=_SHAPE_PROBLEMS,
    )
    @_told_as_problems
    async def put(request: Request) -> Response:
        product, created = await catalog.put_product(request.params["sku"], request.body)
        location = {"location": f"/api/catalog/products/{product.slug}"}
        return json(product, 201 if created else 200, location)

    @routes.patch(
        path,
        summary="Change some of a product: its price, its status",
        description="What is not named stays. With `version` it is refused if the product was changed meanwhile.",
        access="staff",
        body=ProductChange,
        example={"price": 1250, "version": 3},
        answers={200: ProductBody},
        problems=(NO_SUCH_PRODUCT, VERSION_CHANGED, *_SHAPE_PROBLEMS),
    )
    @_told_as_problems
    async def patch(request: Request) -> Response:
        return json(await catalog.patch_product(request.params["sku"], request.body))

    @routes.delete(
        path,
        summary="Remove a product with all of its variants",
        description="Orders keep what they say of it. To keep its page for old links, set its `status` to `gone`.",
        access="staff",
        answers={204: None},
        problems=(NO_SUCH_PRODUCT,),
    )
    @_told_as_problems
    async def remove(request: Request) -> Response:
        await catalog.remove_product(request.params["sku"])
        return empty()


def _add_variant_routes(routes: Routes, catalog: Catalog) -> None:
    path = "/api/admin/products/{sku}/variants/{variant}"

    @routes.put(
        path,
        summary="Add a variant to a product, or replace it",
        description="`{variant}` is the variant's SKU. All variants have the same options, and no two the same values.",
        access="staff",
        body=VariantContent,
        example={"options": {"colour": "clay"}, "price": 1450},
        answers={200: ProductBody, 201: ProductBody},
        problems=(NO_SUCH_PRODUCT, BAD_SKU, BAD_VARIANTS, SKU_TAKEN),
    )
    @_told_as_problems
    async def put(request: Request) -> Response:
        params = request.params
        product, created = await catalog.put_variant(params["sku"], params["variant"], request.body)
        return json(product, 201 if created else 200)

    @routes.delete(
        path,
        summary="Remove a variant",
        access="staff",
        answers={204: None},
        problems=(NO_SUCH_PRODUCT, NO_SUCH_VARIANT, LAST_VARIANT),
    )
    @_told_as_problems
    async def remove(request: Request) -> Response:
        await catalog.remove_variant(request.params["sku"], request.params["variant"])
        return empty()


def _told_as_problems(handler: Handler) -> Handler:
    @wraps(handler)
    async def told(request: Request) -> Response:
        try:
            return await handler(request)
        except CatalogRefused as refused:
            raise Problem(refused.code, refused.detail, **refused.about) from None

    return told
