"""Where each service's routes are."""

PATHS: dict[str, tuple[str, ...]] = {
    "users": ("/api/users", "/api/admin/users", "/.well-known"),
    "catalog": ("/api/catalog", "/api/admin/products", "/api/admin/catalog"),
    "carts": ("/api/cart", "/api/admin/carts"),
    "orders": ("/api/orders", "/api/admin/orders", "/api/admin/stock", "/api/admin/reports"),
    "payments": ("/api/payments", "/api/admin/payments", "/test-gateway"),
    "notifications": ("/api/notifications", "/api/admin/notifications"),
    "entities": ("/api/admin/hosts",),
}
"""Where each service's routes are, so that a process can say which service it lacks."""


def service_of(path: str) -> str | None:
    """Whose a path is; None: nobody's in particular."""
    for service, starts in PATHS.items():
        if any(path == start or path.startswith(f"{start}/") for start in starts):
            return service
    return None
