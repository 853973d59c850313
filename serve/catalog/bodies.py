"""Products as shoppers are shown them."""

from collections.abc import Iterable, Sequence

from serve.catalog.records import Listed, Product, Variant
from serve.catalog.schemas import (
    CategoryName,
    OptionBody,
    ProductBody,
    ProductSummary,
    VariantBody,
    image_path,
)


def summary(product: Listed, currency: str) -> ProductSummary:
    """A product as a line of a list."""
    return ProductSummary(
        sku=product.sku,
        slug=product.slug,
        name=product.name,
        category=product.category,
        price=product.price,
        price_max=product.price_max,
        currency=currency,
        image=image_path(product.image),
        available=product.available,
        variants=product.variants,
    )


def body(product: Product, trail: list[CategoryName], related: Sequence[Listed], currency: str) -> ProductBody:
    """A product with all of its details."""
    prices = [variant.price for variant in product.shown]
    return ProductBody(
        key=product.key,
        sku=product.shown[0].sku,
        slug=product.slug,
        name=product.name,
        description=product.description,
        category=product.category,
        trail=trail,
        price=min(prices),
        price_max=max(prices),
        currency=currency,
        tax_class=product.tax_class,
        status="active" if product.for_sale else "gone",
        specifications=product.specifications,
        attributes=product.attributes,
        options=_options(product.variants),
        variants=[_variant(product, variant) for variant in product.variants],
        related=[summary(other, currency) for other in related],
        image=image_path(product.image),
        available=_sum(variant.available for variant in product.shown),
        version=product.version,
        created_at=product.created_at,
    )


def _variant(product: Product, variant: Variant) -> VariantBody:
    return VariantBody(
        sku=variant.sku,
        options=variant.options,
        price=variant.price,
        status=product.status_of(variant),
        image=image_path(variant.image or product.image),
        available=variant.available,
    )


def _options(variants: Iterable[Variant]) -> list[OptionBody]:
    values: dict[str, dict[str, None]] = {}
    for variant in variants:
        for name, value in variant.options.items():
            values.setdefault(name, {})[value] = None
    return [OptionBody(name, list(found)) for name, found in values.items()]


def _sum(units: Iterable[int | None]) -> int | None:
    known = [one for one in units if one is not None]
    return sum(known) if known else None
