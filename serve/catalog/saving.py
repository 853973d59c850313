"""Writes products: many in one transaction, each with the event that tells of it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from pipelines.events import catalog as events
from pipelines.log.outbox import put
from serve.catalog import loading
from serve.catalog.drafting import drafted
from serve.catalog.migrating import listed_values, variant_values
from serve.catalog.records import Product, Variant
from serve.catalog.schemas import CatalogRefused, ProductDraft
from serve.catalog.slugs import category_steps, slugify
from serve.catalog.tables import categories, changes, outbox, products, removed_skus, variants
from serve.catalog.telling import changed_event

_COMPARED = tuple(name for name in Product.__struct_fields__ if name not in ("key", "id", "version", "created_at"))
_UPDATE_PRODUCT = update(products).where(products.c.sku == bindparam("key"))
_UPDATE_VARIANT = update(variants).where(variants.c.sku == bindparam("its_sku"))


class Saved(msgspec.Struct, frozen=True):
    """A product after a write: whether it is new, and the names of what is different (all of a new one)."""

    product: Product
    created: bool
    changes: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return bool(self.changes)


class Saving:
    """One transaction's writes. `connection` holds the writer's lock; `now`: UTC in milliseconds.

    What the drafts are compared with is read at once, and what changes is written at once, by `flush`.
    """

    def __init__(self, connection: Connection, now: int) -> None:
        self._connection = connection
        self._now = now
        statement = select(changes.c.number).with_for_update()
        self._number: int = connection.scalars(statement).one()
        self._products: dict[str, Product | None] = {}
        self._holders: dict[str, str | None] = {}
        self._removed: dict[str, int] = {}
        self._slugs: dict[str, str | None] = {}
        self._tried: dict[str, int] = {}
        self._names = loading.category_names(connection)
        self._staged: dict[str, tuple[Product | None, Product]] = {}
        self._new_categories: list[dict[str, Any]] = []

    def put_whole(self, key: str, draft: ProductDraft) -> Saved:
        """Replaces a product by a draft that says everything, also that there is no image. Raises `CatalogRefused`."""
        self._look_up([(key, draft)])
        saved = self._stage(key, draft, draft.image)
        self.flush()
        return saved

    def put(self, drafts: Sequence[tuple[str, ProductDraft]]) -> list[Saved | CatalogRefused]:
        """Creates or replaces products; a refused one does not stop the others. An image that is not named stays."""
        self._look_up(drafts)
        outcomes: list[Saved | CatalogRefused] = []
        for key, draft in drafts:
            if key in self._staged:  # a second time in one transaction: on top of the first
                self.flush()
            try:
                found = self._products[key]
                image = draft.image if draft.image is not None or found is None else found.image
                outcomes.append(self._stage(key, draft, image))
            except CatalogRefused as refused:
                outcomes.append(refused)
        self.flush()
        return outcomes

    def remove(self, product: Product) -> None:
        """Takes a product away, with all that was written of it but the price versions of its SKUs."""
        self._connection.execute(delete(variants).where(variants.c.product == product.key))
        self._connection.execute(delete(products).where(products.c.sku == product.key))
        self._note_removed(product.variants)
        event = events.ProductRemoved(self._now)
        put(self._connection, outbox, events.KIND, product.id, product.version + 1, (event,), self._now)

    def _look_up(self, drafts: Sequence[tuple[str, ProductDraft]]) -> None:
        keys = [key for key, _ in drafts]
        skus = keys + [one.sku for _, draft in drafts if draft.variants for one in draft.variants]
        slugs = [draft.slug or slugify(draft.name) for _, draft in drafts]
        self._products |= dict.fromkeys(skus) | loading.by_keys(self._connection, skus)
        self._holders |= dict.fromkeys(skus) | loading.holders(self._connection, skus)
        self._removed |= loading.removed_versions(self._connection, skus)
        self._slugs |= dict.fromkeys(slugs) | loading.slug_owners(self._connection, slugs)

    def _stage(self, key: str, draft: ProductDraft, image: str | None) -> Saved:
        found = self._products[key]
        holder = self._holders[key]
        if found is None and holder is not None:
            raise CatalogRefused("sku_taken", f"{key} is a variant of {holder}.", sku=key, product=holder)
        wanted = drafted(key, draft, found)
        for variant in wanted.variants:
            self._check_free(key, variant.sku)
        steps = category_steps(draft.category)
        slug = self._slug(key, draft, found)
        wanted = replace(wanted, category=steps[-1].path, slug=slug, image=image)
        changed = _changes(found, wanted)
        if found is not None and not changed:
            return Saved(found, False, ())
        for step in steps:
            self._add_category(step.path, step.name)
        wanted = replace(wanted, variants=tuple(self._versioned(found, wanted, one) for one in wanted.variants))
        if found is None:
            wanted = replace(wanted, created_at=self._now)
        self._keep(found, replace(wanted, version=wanted.version + 1))
        return Saved(self._staged[key][1], found is None, changed)

    def _check_free(self, key: str, sku: str) -> None:
        holder = self._holders[sku]
        if holder not in (None, key):
            raise CatalogRefused("sku_taken", f"{sku} is a variant of {holder}.", sku=sku, product=holder)
        if sku != key and self._products[sku] is not None:
            raise CatalogRefused("sku_taken", f"{sku} is a product.", sku=sku, product=sku)

    def _slug(self, key: str, draft: ProductDraft, found: Product | None) -> str:
        if draft.slug is None and found is not None:
            return found.slug  # an address that is out in the world does not change with a name
        if draft.slug is not None:
            if self._owner(draft.slug) in (None, key):
                return draft.slug
            raise CatalogRefused("slug_taken", f"Another product has the slug {draft.slug!r}.", slug=draft.slug)
        base = slugify(draft.name) or slugify(key) or "product"
        candidate, count = base, self._tried.get(base, 1)
        while self._owner(candidate if count == 1 else f"{base}-{count}") is not None:
            count += 1
        self._tried[base] = count
        return candidate if count == 1 else f"{base}-{count}"

    def _owner(self, slug: str) -> str | None:
        if slug not in self._slugs:
            self._slugs[slug] = loading.slug_owners(self._connection, [slug]).get(slug)
        return self._slugs[slug]

    def _versioned(self, found: Product | None, wanted: Product, variant: Variant) -> Variant:
        """With a price version that says whether carts must learn something new of it."""
        before = {} if found is None else {one.sku: one for one in found.variants}
        old = before.get(variant.sku)
        if found is None or old is None:
            return replace(variant, price_version=self._removed.get(variant.sku, 0) + 1)
        same = _charged(found, old) == _charged(wanted, variant)
        return replace(variant, price_version=old.price_version + (not same), available=old.available)

    def _add_category(self, path: str, name: str) -> None:
        if path in self._names:
            return
        parent = path.rpartition("/")[0] or None
        siblings = sum((other.rpartition("/")[0] or None) == parent for other in self._names)
        row = {"path": path, "name": name, "parent": parent, "position": siblings + 1}
        self._new_categories.append(row)
        self._names[path] = name

    def _keep(self, found: Product | None, product: Product) -> None:
        key = product.key
        self._staged[key] = (found, product)
        self._products[key] = product
        for gone in _left_out(found, product):
            self._holders[gone.sku] = None
            self._removed[gone.sku] = gone.price_version + 1
        self._holders |= dict.fromkeys((variant.sku for variant in product.variants), key)
        if found is not None and found.slug != product.slug:
            self._slugs[found.slug] = None
        self._slugs[product.slug] = key

    def flush(self) -> None:
        """Writes what was staged, and what tells of it, into the transaction."""
        if self._new_categories:
            self._connection.execute(insert(categories), self._new_categories)
        self._write_products()
        self._write_variants()
        for _, product in self._staged.values():
            event = changed_event(product, self._names, self._now)
            put(self._connection, outbox, events.KIND, product.id, product.version, (event,), self._now)
        if self._staged:
            self._connection.execute(update(changes).values(number=self._number))
        self._staged, self._new_categories = {}, []

    def _write_products(self) -> None:
        added, changed = [], []
        for found, product in self._staged.values():
            self._number += 1
            values = _product_values(product, self._number)
            if found is None:
                added.append({"sku": product.key, **values})
            else:
                changed.append({"key": product.key, **values})
        if changed:
            self._connection.execute(_UPDATE_PRODUCT, changed)
        if added:
            self._connection.execute(insert(products), added)

    def _write_variants(self) -> None:
        removed: list[Variant] = []
        added, changed = [], []
        for found, product in self._staged.values():
            removed += _left_out(found, product)
            before = {} if found is None else {one.sku: _row(one, at) for at, one in enumerate(found.variants)}
            for position, variant in enumerate(product.variants):
                values = variant_values(product, variant, position)
                if variant.sku not in before:
                    added.append(values)
                elif before[variant.sku] != _row(variant, position):
                    changed.append({"its_sku": variant.sku, **values})
        for variant in removed:
            self._connection.execute(delete(variants).where(variants.c.sku == variant.sku))
        self._note_removed(removed)
        if changed:
            self._connection.execute(_UPDATE_VARIANT, changed)
        if added:
            self._connection.execute(insert(variants), added)

    def _note_removed(self, removed: Sequence[Variant]) -> None:
        for variant in removed:
            self._connection.execute(delete(removed_skus).where(removed_skus.c.sku == variant.sku))
            values = {"sku": variant.sku, "price_version": variant.price_version + 1}
            self._connection.execute(insert(removed_skus).values(values))


def _changes(found: Product | None, wanted: Product) -> tuple[str, ...]:
    if found is None:
        return _COMPARED
    names = [name for name in _COMPARED[:-1] if getattr(found, name) != getattr(wanted, name)]
    if [_said(one) for one in found.variants] != [_said(one) for one in wanted.variants]:
        names.append("variants")
    return tuple(names)


def _said(variant: Variant) -> tuple[object, ...]:
    # The order of options is the order in which a page asks for them.
    return variant.sku, list(variant.options.items()), variant.price, variant.status, variant.image


def _charged(product: Product, variant: Variant) -> tuple[object, ...]:
    return product.name, variant.options, variant.price, product.tax_class, product.status_of(variant)


def _left_out(found: Product | None, product: Product) -> list[Variant]:
    kept = {variant.sku for variant in product.variants}
    return [variant for variant in found.variants if variant.sku not in kept] if found is not None else []


def _row(variant: Variant, position: int) -> tuple[object, ...]:
    return position, variant.price_version, *_said(variant)


def _product_values(product: Product, number: int) -> dict[str, Any]:
    return {
        "id": product.id,
        "slug": product.slug,
        "name": product.name,
        "sort_name": product.name.casefold(),
        "description": product.description,
        "category": product.category,
        "tax_class": product.tax_class,
        "status": product.status,
        "specifications": product.specifications,
        "attributes": product.attributes,
        "related": product.related,
        "image": product.image,
        "version": product.version,
        "created_at": product.created_at,
        "changed": number,
        **listed_values(product),
    }
