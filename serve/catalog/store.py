"""The catalogue's own database. Every call blocks, and is one transaction; `service.py` keeps it off the event loop."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, and_, func, insert, or_, select, update

from serve.catalog.schemas import CatalogRefused, Category, CategoryName, Product, ProductChange, ProductDraft, Sort
from serve.catalog.slugs import category_steps, slugify
from serve.catalog.tables import availability, categories, changes, loads, open_engine, products

_WITH_AVAILABILITY = select(products, availability.c.available).select_from(
    products.outerjoin(availability, availability.c.sku == products.c.sku)
)

# What comes with every order is said to the driver as it is.
_NOTE_AVAILABILITY = """
    INSERT INTO availability (sku, available, version) VALUES (?, ?, ?)
    ON CONFLICT (sku) DO UPDATE SET available = excluded.available, version = excluded.version
    WHERE excluded.version > version
"""


class Saved(msgspec.Struct, frozen=True):
    """A product after a write: whether it is new, and whether anything changed."""

    product: Product
    created: bool
    changed: bool


class Store:
    """Products, categories and availability. `url` is SQLAlchemy's; `connections` bounds the threads that may call."""

    def __init__(self, url: str, connections: int = 4) -> None:
        self._engine = open_engine(url, connections)
        self._writing_engine = self._engine.execution_options(writes=True)

    def close(self) -> None:
        """Closes the connections. The store is not used after it."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot of the database."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that holds the writer's lock from its start."""
        with self._writing_engine.begin() as connection:
            yield connection

    # Reading

    def product(self, *, slug: str | None = None, sku: str | None = None) -> Product | None:
        """The product of this slug or SKU, or None."""
        where = products.c.slug == slug if sku is None else products.c.sku == sku
        with self.reading() as connection:
            row = connection.execute(_WITH_AVAILABILITY.where(where)).first()
        return None if row is None else _product(row)

    def page(self, category: str | None, sort: Sort, after: tuple[str | int, str] | None, limit: int) -> list[Product]:
        """At most `limit` active products of a category and those below it, behind the place (sort value, SKU)."""
        statement = _WITH_AVAILABILITY.where(products.c.status == "active")
        if category is not None:
            statement = statement.where(_within(category))
        with self.reading() as connection:
            return [_product(row) for row in connection.execute(_sorted(statement, sort, after).limit(limit))]

    def categories(self) -> list[Category]:
        """All categories, parents before children, siblings by position."""
        statement = select(*categories.c["path", "name", "parent", "position"])
        with self.reading() as connection:
            found = [Category(*row) for row in connection.execute(statement)]
        return sorted(found, key=lambda category: (category.path.count("/"), category.position, category.path))

    def trail(self, path: str) -> list[CategoryName]:
        """The categories from the root down to `path`; none if it is not a category."""
        steps = path.split("/")
        paths = ["/".join(steps[: depth + 1]) for depth in range(len(steps))]
        statement = (
            select(*categories.c["path", "name"]).where(categories.c.path.in_(paths)).order_by(categories.c.path)
        )
        with self.reading() as connection:
            found = [CategoryName(*row) for row in connection.execute(statement)]
        return found if len(found) == len(paths) else []

    def counts(self) -> dict[str, int]:
        """How many active products lie in each category itself."""
        statement = (
            select(products.c.category, func.count()).where(products.c.status == "active").group_by(products.c.category)
        )
        with self.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}

    def after_sku(self, sku: str, limit: int) -> list[Product]:
        """Products of every status in the order of their SKUs, behind `sku`."""
        statement = _WITH_AVAILABILITY.where(products.c.sku > sku).order_by(products.c.sku).limit(limit)
        with self.reading() as connection:
            return [_product(row) for row in connection.execute(statement)]

    def of_skus(self, skus: Sequence[str]) -> tuple[int, list[Product]]:
        """Those of the SKUs that exist, and the number of the last change that they show."""
        with self.reading() as connection:
            number = _last_change(connection)
            rows = connection.execute(_WITH_AVAILABILITY.where(products.c.sku.in_(skus))).all()
        return number, [_product(row) for row in rows]

    def changed_since(self, number: int, limit: int) -> tuple[int, list[Product]]:
        """Products changed after the change `number`, oldest change first, and the number of the last change of all."""
        with self.reading() as connection:
            last = _last_change(connection)
            if last == number:
                return last, []
            statement = _WITH_AVAILABILITY.where(products.c.changed > number).order_by(products.c.changed).limit(limit)
            return last, [_product(row) for row in connection.execute(statement)]

    # Writing

    def put(self, drafts: Sequence[tuple[str, ProductDraft]], now: int) -> list[Saved | CatalogRefused]:
        """Creates or replaces products in one transaction; a refused one does not stop the others.

        A slug or an image that a draft does not name stays as it is.
        """
        outcomes: list[Saved | CatalogRefused] = []
        with self.writing() as connection:
            for sku, draft in drafts:
                try:
                    outcomes.append(_save(connection, sku, _kept_if_unnamed(connection, sku, draft), now))
                except CatalogRefused as refused:
                    outcomes.append(refused)
        return outcomes

    def patch(self, sku: str, change: ProductChange, now: int) -> Saved:
        """Changes what is named. Raises `CatalogRefused` ``no_such_product``, ``version_changed`` or as `put` does."""
        with self.writing() as connection:
            row = connection.execute(
                _WITH_AVAILABILITY.where(products.c.sku == sku).with_for_update(of=products)
            ).first()
            if row is None:
                raise CatalogRefused("no_such_product", f"There is no product {sku}.", sku=sku)
            found = _product(row)
            if change.version is not msgspec.UNSET and change.version != found.version:
                raise CatalogRefused("version_changed", f"{sku} is at version {found.version}.", version=found.version)
            named = {
                name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET
            }
            named.pop("version", None)
            kept = {name: getattr(found, name) for name in ProductDraft.__struct_fields__}
            return _save(connection, sku, kept | named, now)

    def note_availability(self, notes: Sequence[tuple[str, int, int]]) -> None:
        """Keeps (sku, available, version), each unless as new a version is kept already."""
        if not notes:
            return
        with self.writing() as connection:
            connection.exec_driver_sql(_NOTE_AVAILABILITY, [tuple(note) for note in notes])

    def loaded(self, name: str) -> bool:
        """Whether a data set of this name was noted as loaded."""
        with self.reading() as connection:
            return connection.scalar(select(loads.c.at).where(loads.c.name == name)) is not None

    def note_loaded(self, name: str, now: int) -> None:
        """Notes a data set as loaded; a second time is no error."""
        with self.writing() as connection:
            if connection.scalar(select(loads.c.at).where(loads.c.name == name)) is None:
                connection.execute(insert(loads).values(name=name, at=now))


def sort_value(product: Product, sort: Sort) -> str | int:
    """What a list in this order compares first."""
    if sort == "name":
        return product.name.casefold()
    return product.created_at if sort == "newest" else product.price


def _product(row: Row[Any]) -> Product:
    values: dict[str, Any] = dict(row._mapping)
    del values["sort_name"]
    return Product(**values)


def _within(category: str) -> Any:
    # "0" is the character behind "/": the range holds all paths below, and can use the index.
    below = and_(products.c.category > f"{category}/", products.c.category < f"{category}0")
    return or_(products.c.category == category, below)


def _sorted(statement: Select[Any], sort: Sort, after: tuple[str | int, str] | None) -> Select[Any]:
    column = {"name": products.c.sort_name, "newest": products.c.created_at}.get(sort, products.c.price)
    down = sort in ("-price", "newest")
    if after is not None:
        value, sku = after
        beyond = column < value if down else column > value
        beside = products.c.sku < sku if down else products.c.sku > sku
        statement = statement.where(or_(beyond, and_(column == value, beside)))
    return (
        statement.order_by(column.desc(), products.c.sku.desc()) if down else statement.order_by(column, products.c.sku)
    )


def _last_change(connection: Connection, *, lock: bool = False) -> int:
    statement = select(changes.c.number)
    number: int = connection.scalars(statement.with_for_update() if lock else statement).one()
    return number


def _kept_if_unnamed(connection: Connection, sku: str, draft: ProductDraft) -> dict[str, Any]:
    wanted = msgspec.structs.asdict(draft)
    if draft.image is None:
        wanted["image"] = connection.scalar(select(products.c.image).where(products.c.sku == sku))
    return wanted


def _save(connection: Connection, sku: str, wanted: dict[str, Any], now: int) -> Saved:
    number = _last_change(connection, lock=True) + 1
    wanted |= {"name": " ".join(wanted["name"].split()), "description": wanted["description"].strip()}
    if not wanted["name"]:
        raise CatalogRefused("bad_name", "The name is blank.")
    row = connection.execute(_WITH_AVAILABILITY.where(products.c.sku == sku)).first()
    found = None if row is None else _product(row)
    steps = category_steps(wanted["category"])
    slug = _free_slug(connection, sku, wanted["slug"], found, wanted["name"])
    values = {**wanted, "category": steps[-1].path, "slug": slug}
    if found is not None and all(getattr(found, name) == value for name, value in values.items()):
        return Saved(found, created=False, changed=False)
    for above, step in zip([None, *(step.path for step in steps)], steps, strict=False):
        _add_category(connection, Category(step.path, step.name, above, 0))
    values |= {
        "sort_name": wanted["name"].casefold(),
        "changed": number,
        "version": (found.version if found else 0) + 1,
    }
    if found is None:
        connection.execute(insert(products).values(sku=sku, created_at=now, **values))
    else:
        connection.execute(update(products).where(products.c.sku == sku).values(values))
    connection.execute(update(changes).values(number=number))
    saved = connection.execute(_WITH_AVAILABILITY.where(products.c.sku == sku)).one()
    return Saved(_product(saved), created=found is None, changed=True)


def _free_slug(connection: Connection, sku: str, given: str | None, found: Product | None, name: str) -> str:
    def owner(slug: str) -> str | None:
        return connection.scalar(select(products.c.sku).where(products.c.slug == slug))

    if given is None and found is not None:
        return found.slug  # an address that is out in the world does not change with a name
    if given is not None:
        if owner(given) in (None, sku):
            return given
        raise CatalogRefused("slug_taken", f"Another product has the slug {given!r}.", slug=given)
    base = slugify(name) or slugify(sku) or "product"
    candidate, count = base, 1
    while owner(candidate) is not None:
        count += 1
        candidate = f"{base}-{count}"
    return candidate


def _add_category(connection: Connection, category: Category) -> None:
    if connection.scalar(select(categories.c.path).where(categories.c.path == category.path)) is not None:
        return
    siblings = select(func.count()).where(categories.c.parent == category.parent)
    position = connection.scalars(siblings).one() + 1
    connection.execute(insert(categories).values(msgspec.structs.asdict(category) | {"position": position}))
