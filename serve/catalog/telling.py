"""What the catalogue tells the others about a product."""

from collections.abc import Mapping

from pipelines.events.catalog import ProductChanged, ProductFacts, VariantFacts
from serve.catalog.records import Product
from serve.catalog.slugs import paths_to


def changed_event(product: Product, category_names: Mapping[str, str], now: int) -> ProductChanged:
    """The event that tells the product as it is. `now`: UTC in milliseconds."""
    facts = ProductFacts(
        id=product.id,
        slug=product.slug,
        name=product.name,
        description=product.description,
        categories=tuple((path.rpartition("/")[2], category_names[path]) for path in paths_to(product.category)),
        attributes={
            name: tuple(value) if isinstance(value, list) else value for name, value in product.attributes.items()
        },
        status="active" if product.for_sale else "gone",
        created_at=product.created_at,
        image=product.image,
        variants=tuple(
            VariantFacts(
                sku=variant.sku,
                options=variant.options,
                price=variant.price,
                tax_class=product.tax_class,
                status=product.status_of(variant),
                price_version=variant.price_version,
            )
            for variant in product.variants
        ),
    )
    return ProductChanged(facts, now)
