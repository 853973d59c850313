"""Makes of what staff or an import say what the product shall be, or says why it cannot."""

import math
from collections.abc import Sequence
from uuid import uuid4

import msgspec

from serve.catalog.records import Product, Variant
from serve.catalog.schemas import Attributes, AttributeValue, CatalogRefused, ProductChange, ProductDraft, VariantDraft


def drafted(key: str, draft: ProductDraft, found: Product | None) -> Product:
    """The product as the draft wants it; `found` is the one that is there. Slug, category and image are not final.

    Raises `CatalogRefused` ``bad_name``, ``bad_variants``, ``has_variants`` or ``bad_attribute``.
    """
    name = " ".join(draft.name.split())
    if not name:
        raise CatalogRefused("bad_name", "The name is blank.")
    return Product(
        key=key,
        id=str(uuid4()) if found is None else found.id,
        slug=draft.slug or "",
        name=name,
        description=draft.description.strip(),
        category=draft.category,
        tax_class=draft.tax_class,
        status=draft.status,
        specifications=draft.specifications,
        attributes=_checked_attributes(draft.attributes),
        related=list(dict.fromkeys(sku for sku in draft.related if sku != key)),
        image=draft.image,
        version=0 if found is None else found.version,
        created_at=0 if found is None else found.created_at,
        variants=_variants(key, draft, found),
    )


def _variants(key: str, draft: ProductDraft, found: Product | None) -> tuple[Variant, ...]:
    if draft.variants is msgspec.UNSET:
        if draft.price is msgspec.UNSET:
            raise CatalogRefused("bad_variants", "A product has a price, or variants that have one.")
        return (_only_one(key, draft.price, found),)
    if draft.price is not msgspec.UNSET:
        raise CatalogRefused("bad_variants", "Give a price or variants, not both: each variant has its own price.")
    _check_variants(draft.variants)
    return tuple(
        Variant(sku=one.sku, options=one.options, price=one.price, status=one.status, image=one.image)
        for one in draft.variants
    )


def _only_one(key: str, price: int, found: Product | None) -> Variant:
    there = () if found is None else found.variants
    if any(variant.sku != key for variant in there):
        skus = [variant.sku for variant in there]
        raise CatalogRefused("has_variants", f"{key} has variants: say which it shall have from now on.", skus=skus)
    options, image = (there[0].options, there[0].image) if there else ({}, None)
    return Variant(sku=key, options=options, price=price, status="active", image=image)


def _check_variants(variants: Sequence[VariantDraft]) -> None:
    if len({one.sku for one in variants}) < len(variants):
        raise CatalogRefused("bad_variants", "Two variants have the same SKU.")
    names = list(variants[0].options)
    for one in variants:
        if set(one.options) != set(names):
            raise CatalogRefused("bad_variants", f"{one.sku} has other options than {variants[0].sku}.", sku=one.sku)
    if len({tuple(one.options[name] for name in names) for one in variants}) < len(variants):
        raise CatalogRefused("bad_variants", "Two variants have the same options: nobody could choose.")


def _checked_attributes(attributes: Attributes) -> dict[str, AttributeValue]:
    for name, value in attributes.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise CatalogRefused("bad_attribute", f"{name} is not a finite number.", attribute=name)
    return dict(attributes)


def changed_draft(product: Product, change: ProductChange) -> ProductDraft:
    """A draft of the product with what the change names. Raises `CatalogRefused` ``bad_variants``."""
    named = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
    named.pop("version", None)
    price = named.pop("price", None)
    draft = msgspec.structs.replace(draft_of(product), **named)
    if price is None:
        return draft
    if "variants" in named:
        raise CatalogRefused("bad_variants", "Give a price or variants, not both: each variant has its own price.")
    chosen = [one.sku for one in product.variants if one.sku == product.key or len(product.variants) == 1]
    if not chosen:
        raise CatalogRefused("bad_variants", f"{product.key} has variants, and each has its own price.")
    assert draft.variants is not msgspec.UNSET
    priced = [msgspec.structs.replace(one, price=price) if one.sku in chosen else one for one in draft.variants]
    return msgspec.structs.replace(draft, variants=priced)


def with_variant(product: Product, variant: VariantDraft) -> ProductDraft:
    """A draft of the product with this variant in the place of the one with its SKU, or behind all others."""
    draft = draft_of(product)
    assert draft.variants is not msgspec.UNSET
    if all(one.sku != variant.sku for one in draft.variants):
        return msgspec.structs.replace(draft, variants=[*draft.variants, variant])
    return msgspec.structs.replace(
        draft, variants=[variant if one.sku == variant.sku else one for one in draft.variants]
    )


def without_variant(product: Product, sku: str) -> ProductDraft:
    """A draft of the product without a variant. Raises `CatalogRefused` ``no_such_variant``, ``last_variant``."""
    draft = draft_of(product)
    assert draft.variants is not msgspec.UNSET
    left = [one for one in draft.variants if one.sku != sku]
    if len(left) == len(draft.variants):
        raise CatalogRefused("no_such_variant", f"{product.key} has no variant {sku[:80]}.", sku=sku[:80])
    if not left:
        raise CatalogRefused("last_variant", f"{product.key} has no other variant: remove the product.", sku=sku)
    return msgspec.structs.replace(draft, variants=left)


def draft_of(product: Product) -> ProductDraft:
    """What, put again, changes nothing."""
    return ProductDraft(
        name=product.name,
        category=product.category,
        variants=[
            VariantDraft(sku=one.sku, price=one.price, options=one.options, status=one.status, image=one.image)
            for one in product.variants
        ],
        slug=product.slug,
        description=product.description,
        tax_class=product.tax_class,
        status=product.status,
        specifications=product.specifications,
        attributes=product.attributes,
        related=product.related,
        image=product.image,
    )
