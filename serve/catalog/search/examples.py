"""What search answers, in the description of the interface."""

from typing import Any

from serve.catalog.search.schemas import SearchPage, Suggestions

_FACETS: dict[str, Any] = {
    "categories": [
        {
            "path": "kitchen",
            "name": "Kitchen",
            "count": 1,
            "selected": False,
            "children": [{"path": "kitchen/mugs", "name": "Mugs", "count": 1, "selected": False, "children": []}],
        }
    ],
    "prices": [{"low": 1000, "high": 2000, "count": 1}],
    "availability": {"available": 1, "unavailable": 0},
    "attributes": [
        {
            "name": "material",
            "label": "Material",
            "type": "text",
            "count": 1,
            "values": [{"value": "stoneware", "label": "Stoneware", "count": 1, "selected": False}],
            "low": None,
            "high": None,
        }
    ],
}
_PAGE = {
    "items": [
        {
            "sku": "KIT-MUG-MOSS",
            "slug": "moss-stoneware-mug",
            "name": "Moss stoneware mug",
            "category": "kitchen/mugs",
            "price": 1450,
            "price_max": 1450,
            "currency": "GBP",
            "image": "/api/catalog/images/kit-mug-moss.svg",
            "available": True,
            "highlights": {"name": "<mark>Moss</mark> stoneware mug", "description": "Thrown in a small pottery …"},
        }
    ],
    "total": 1,
    "matched": "all_words",
    "facets": _FACETS,
    "next": None,
}
_SUGGESTIONS = {
    "items": [
        {"kind": "words", "text": "moss stoneware", "target": None, "image": None},
        {"kind": "category", "text": "Mugs", "target": "kitchen/mugs", "image": None},
        {
            "kind": "product",
            "text": "Moss stoneware mug",
            "target": "moss-stoneware-mug",
            "image": "/api/catalog/images/kit-mug-moss.svg",
        },
    ]
}

EXAMPLES: dict[type, Any] = {SearchPage: _PAGE, Suggestions: _SUGGESTIONS}
