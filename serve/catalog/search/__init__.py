"""Finding products by words and facets, behind a port."""
