"""One product in each body in the description of the interface."""

from typing import Any

from serve.catalog.schemas import CategoryTree, ProductBody, ProductPage

DRAFT = {
    "name": "Stoneware mug",
    "category": "Kitchen/Mugs",
    "description": "Thrown by hand, and the right size for a second cup.",
    "attributes": {"material": "stoneware", "capacity": 350, "dishwasher": True},
    "specifications": {"Capacity": "350 ml"},
    "related": ["KIT-TEA-POT"],
    "variants": [
        {"sku": "MUG-MOSS", "options": {"colour": "moss"}, "price": 1450},
        {"sku": "MUG-INK", "options": {"colour": "ink"}, "price": 1550, "image": "mug-ink"},
    ],
}
_IMAGE = "/api/catalog/images/linen-shirt.svg"
_SUMMARY = {
    "sku": "SHIRT-S",
    "slug": "linen-shirt",
    "name": "Linen shirt",
    "category": "clothes/shirts",
    "price": 4900,
    "price_max": 5100,
    "currency": "EUR",
    "image": _IMAGE,
    "available": 7,
    "variants": 2,
}
_HAT = {
    **_SUMMARY,
    "sku": "STRAW-HAT",
    "slug": "straw-hat",
    "name": "Straw hat",
    "category": "clothes/hats",
    "price": 2500,
    "price_max": 2500,
    "image": None,
    "available": None,
    "variants": 1,
}
_PRODUCT = {
    "key": "SHIRT",
    "sku": "SHIRT-S",
    "slug": "linen-shirt",
    "name": "Linen shirt",
    "description": "For summer.",
    "category": "clothes/shirts",
    "trail": [{"path": "clothes", "name": "Clothes"}, {"path": "clothes/shirts", "name": "Shirts"}],
    "price": 4900,
    "price_max": 5100,
    "currency": "EUR",
    "tax_class": "standard",
    "status": "active",
    "specifications": {"Care": "30 degrees"},
    "attributes": {"material": ["linen", "cotton"], "pockets": 1},
    "options": [{"name": "size", "values": ["S", "M"]}],
    "variants": [
        {
            "sku": "SHIRT-S",
            "options": {"size": "S"},
            "price": 4900,
            "status": "active",
            "image": _IMAGE,
            "available": 7,
        },
        {
            "sku": "SHIRT-M",
            "options": {"size": "M"},
            "price": 5100,
            "status": "active",
            "image": _IMAGE,
            "available": 0,
        },
    ],
    "related": [_HAT],
    "image": _IMAGE,
    "available": 7,
    "version": 3,
    "created_at": 1_764_000_000_000,
}
_SHIRTS = {"path": "clothes/shirts", "name": "Shirts", "count": 12, "children": []}

EXAMPLES: dict[type, Any] = {
    CategoryTree: {"items": [{"path": "clothes", "name": "Clothes", "count": 31, "children": [_SHIRTS]}]},
    ProductPage: {"items": [_SUMMARY], "next": None},
    ProductBody: _PRODUCT,
}
