"""What of a product stands in Elasticsearch, and how what comes late is kept from undoing what came after it.

A product's document is changed only by a script that compares versions: the product's own, and for each SKU that of
its stock. So events may come in any order, twice and from several writers, and the document ends as the newest of
each say. A product that was removed leaves a document with its version, which a late event does not get past.
"""

import base64
from typing import Any

import msgspec

from pipelines.events.catalog import ProductFacts
from serve.catalog.search.analysis import Analysis, folded, normal
from serve.catalog.search.documents import (
    PART,
    TEXTS,
    active,
    attributes,
    category_paths,
    facet_terms,
    numbers,
    shown_terms,
    sort_key,
)
from serve.catalog.search.facet_counts import price_terms

# Another number whenever what an index holds changes: an index of another recipe is built anew.
SCHEMA = 2
LONGEST_TERM = 8_000
LONGEST_ID = 512
LONGEST_SORTED = 500

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ProductFacts)

SETTINGS: dict[str, Any] = {
    "number_of_shards": 1,
    "auto_expand_replicas": "0-1",
    "refresh_interval": "1s",
    "mapping.total_fields.limit": 2_000,
    "mapping.total_fields.ignore_dynamic_beyond_limit": True,
}

_STORED = {"type": "keyword", "index": False, "doc_values": False}
_EXACT = {"type": "keyword", "doc_values": False, "ignore_above": LONGEST_TERM, "norms": False}
_COUNTED = {
    "type": "keyword",
    "index": False,
    "ignore_above": LONGEST_TERM,
    # When it is refreshed, so that nobody who searches waits for it.
    "eager_global_ordinals": True,
}
# Texts come parted into terms and stemmed by `Analysis`, as queries do.
_STEMS = {"type": "text", "analyzer": "whitespace"}
_WORDS = {"type": "text", "analyzer": "whitespace", "norms": False, "index_options": "docs"}

MAPPINGS: dict[str, Any] = {
    "dynamic": False,
    "properties": {
        "version": {"type": "long", "index": False, "doc_values": False},
        "stock": {"type": "object", "enabled": False},
        "skus": _STORED,
        # Beside the document, which nobody who searches has to unpack for it.
        "kept": {"type": "binary", "doc_values": True},
        "live": {"type": "boolean"},
        "available": {"type": "boolean", "copy_to": "shown"},
        "sku": _EXACT,
        "whole_name": _EXACT,
        **dict.fromkeys(TEXTS, _STEMS),
        **{f"{field}_words": _WORDS for field in TEXTS},
        "name_words": {**_WORDS, "index_options": "positions"},
        "name_terms": _COUNTED,
        "facet": _EXACT,
        # Apart: of what is chosen itself only one of the two is counted again. Categories, steps of prices and whether
        # it is available are terms of one field, since each further count would look at every product once more.
        "shown": _COUNTED,
        "shown_attributes": _COUNTED,
        "numbers": {"type": "object", "dynamic": True},
        "price": {"type": "long"},
        "by_price": {"type": "long"},
        "by_age": {"type": "long"},
        "by_name": {"type": "keyword", "index": False},
    },
    "dynamic_templates": [{"numbers": {"path_match": "numbers.*", "mapping": {"type": "double"}}}],
}

# `product`: what its document holds from `version` on, or null. `stock`: by SKU, version and whether units are left.
MERGE = """
boolean changed = false;
def doc = ctx._source;
if (params.product != null && (doc.version == null || params.version > ((Number) doc.version).longValue())) {
  def stock = doc.stock;
  doc.clear();
  doc.putAll(params.product);
  doc.version = params.version;
  doc.stock = stock;
  changed = true;
}
if (doc.stock == null) { doc.stock = [:]; }
for (def one : params.stock.entrySet()) {
  def known = doc.stock.get(one.getKey());
  if (known == null || ((Number) one.getValue().get(0)).longValue() > ((Number) known.get(0)).longValue()) {
    doc.stock.put(one.getKey(), one.getValue());
    changed = true;
  }
}
if (changed) {
  doc.available = false;
  if (doc.skus != null) {
    for (def sku : doc.skus) {
      def known = doc.stock.get(sku);
      if (known != null && known.get(1)) { doc.available = true; }
    }
  }
} else {
  ctx.op = 'none';
}
"""

STOCK_MAPPINGS: dict[str, Any] = {"dynamic": False, "properties": {}}

# A SKU's document says how its stock stands and which products have it. It is never searched for, only got.
NOTE = """
def doc = ctx._source;
if (doc.version == null || params.version > ((Number) doc.version).longValue()) {
  doc.before = doc.version;
  doc.version = params.version;
  doc.there = params.there;
} else {
  ctx.op = 'none';
}
"""
LINK = """
def doc = ctx._source;
if (doc.products == null) { doc.products = []; }
if (doc.products.contains(params.product)) { ctx.op = 'none'; } else { doc.products.add(params.product); }
"""


def source(product: ProductFacts, analysis: Analysis) -> dict[str, Any] | None:
    """None if nothing of it is for sale."""
    variants = active(product)
    if not variants:
        return None
    prices = [variant.price for variant in variants]
    paths, known = category_paths(product), attributes(product)
    texts = {
        "name": [product.name],
        "category": [name for _, name in paths],
        "attribute": [one.label for one in known if one.kind == "s"],
        "description": [product.description],
    }
    made: dict[str, Any] = {
        "live": True,
        "skus": [variant.sku for variant in variants],
        "sku": [folded(variant.sku) for variant in variants],
        "whole_name": folded(product.name),
        "name_terms": sorted(set(analysis.words(product.name))),
        "facet": list(facet_terms(paths, known)),
        "shown": [*shown_terms(paths, []), *price_terms(min(prices))],
        "shown_attributes": list(shown_terms([], known)),
        "numbers": numbers(known),
        "price": min(prices),
        "by_price": sort_key(min(prices), 30, product.id),
        "by_age": sort_key(product.created_at, 42, product.id),
        "by_name": f"{folded(product.name)[:LONGEST_SORTED]}{PART}{product.id}",
        "kept": base64.b64encode(_encoder.encode(product)).decode(),
    }
    for field, said in texts.items():
        made[field] = [" ".join(analysis.stemmed.analyze(normal(text))) for text in said]
        made[f"{field}_words"] = [" ".join(analysis.words(text)) for text in said]
    return made


def gone() -> dict[str, Any]:
    """What is left of a product that is not for sale."""
    return {"live": False, "skus": []}


def facts_in(kept: str) -> ProductFacts:
    """Raises msgspec.MsgspecError, ValueError for what is none of ours."""
    return _decoder.decode(base64.b64decode(kept))
