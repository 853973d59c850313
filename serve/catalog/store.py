"""The catalogue's own database. Every call blocks, and is one transaction; `service.py` keeps it off the event loop."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, func, or_, select

from actors.pricing import Price
from pipelines.keep_prices import line_name
from pipelines.log.outbox import OutboxLog
from pipelines.sql.retrying import transaction
from pipelines.sql.words import Said, insert_missing
from serve.catalog import loading
from serve.catalog.drafting import changed_draft, with_variant, without_variant
from serve.catalog.migrating import add_columns, migrate
from serve.catalog.records import Category, Listed, Product
from serve.catalog.saving import Saved, Saving
from serve.catalog.schemas import CatalogRefused, CategoryName, ProductChange, ProductDraft, Sort, VariantDraft
from serve.catalog.slugs import paths_to
from serve.catalog.tables import categories, loads, open_engine, outbox, products, variants

READERS_OF_EVENTS = 2
"""Connections beside those of the callers, for who follows the events."""

# What comes with every order is said to the driver as it is.
_NOTE_AVAILABILITY = Said(
    """
    INSERT INTO availability (sku, available, version) VALUES (?, ?, ?)
    ON CONFLICT (sku) DO UPDATE SET available = excluded.available, version = excluded.version
    WHERE excluded.version > version
    """,
    # Assignments see those before them: the version comes last.
    """
    INSERT INTO availability (sku, available, version) VALUES (%s, %s, %s) ON DUPLICATE KEY UPDATE
        available = IF(VALUES(version) > version, VALUES(available), available),
        version = GREATEST(version, VALUES(version))
    """,
)


class Whole(NamedTuple):
    """A product, the way to it through the tree, and those related to it that are for sale."""

    product: Product
    trail: list[CategoryName]
    related: list[Listed]


class Store:
    """Products, categories and availability. `url` is SQLAlchemy's; `connections` bounds the threads that may call.

    `now`: UTC in milliseconds, for what is told of a file from before there were events.
    """

    def __init__(self, url: str, connections: int, now: int) -> None:
        self._engine = open_engine(url, connections + READERS_OF_EVENTS, add_columns)
        self._reading_engine = self._engine.execution_options(writes=False)
        self._writing_engine = self._engine.execution_options(writes=True)
        migrate(self._writing_engine, now)

    def close(self) -> None:
        """Closes the connections. The store is not used after it."""
        self._engine.dispose()

    def outbox_log(self) -> OutboxLog:
        """What happened to products, in the order of commits."""
        return OutboxLog(self._engine, outbox)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot of the database."""
        with self._reading_engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, *, keep: bool = True) -> Iterator[Connection]:
        """One transaction that holds the writer's lock from its start; without `keep` nothing of it stays."""
        with self._writing_engine.connect() as connection, connection.begin() as transaction:
            yield connection
            if not keep:
                transaction.rollback()

    # Reading

    def by_slug(self, slug: str) -> Whole | None:
        with self.reading() as connection:
            return _whole(connection, loading.find(connection, products.c.slug == slug))

    def by_sku(self, sku: str) -> Whole | None:
        """The product whose key this is, or which has a variant of this SKU."""
        with self.reading() as connection:
            key = loading.holders(connection, [sku]).get(sku, sku)
            return _whole(connection, loading.find_by_key(connection, key))

    def page(self, category: str | None, sort: Sort, after: tuple[str | int, str] | None, limit: int) -> list[Listed]:
        """At most `limit` products for sale of a category and those below it, behind the place (sort value, key)."""
        statement = loading.LISTED.where(products.c.for_sale == 1)
        if category is not None:
            statement = statement.where(_within(category))
        with self.reading() as connection:
            return loading.listed(connection, _sorted(statement, sort, after).limit(limit))

    def categories(self) -> list[Category]:
        """All categories, parents before children, siblings by position."""
        statement = select(*categories.c["path", "name", "parent", "position"])
        with self.reading() as connection:
            found = [Category(*row) for row in connection.execute(statement)]
        return sorted(found, key=lambda category: (category.path.count("/"), category.position, category.path))

    def has_category(self, path: str) -> bool:
        with self.reading() as connection:
            return bool(_trail(connection, path))

    def counts(self) -> dict[str, int]:
        """How many products for sale lie in each category itself."""
        statement = (
            select(products.c.category, func.count()).where(products.c.for_sale == 1).group_by(products.c.category)
        )
        with self.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}

    def after_key(self, key: str, limit: int) -> list[Product]:
        """Products of every status in the order of their keys, behind `key`."""
        with self.reading() as connection:
            return loading.after_key(connection, key, limit)

    def prices_of(self, skus: Sequence[str]) -> dict[str, Price]:
        """What carts must know of those of the SKUs that exist."""
        statement = select(
            *variants.c["sku", "options", "price", "price_version"],
            *products.c["name", "tax_class"],
            and_(variants.c.status == "active", products.c.status == "active").label("active"),
        ).join_from(variants, products, variants.c.product == products.c.sku)
        with self.reading() as connection:
            rows = connection.execute(statement.where(variants.c.sku.in_(skus))).all()
        return {
            row.sku: Price(
                sku=row.sku,
                name=line_name(row.name, row.options),
                amount=row.price,
                tax_class=row.tax_class,
                status="active" if row.active else "gone",
                version=row.price_version,
            )
            for row in rows
        }

    # Writing

    @transaction(again=True)
    def put(
        self, drafts: Sequence[tuple[str, ProductDraft]], now: int, *, keep: bool = True
    ) -> list[Saved | CatalogRefused]:
        """Creates or replaces products in one transaction; a refused one does not stop the others.

        A slug or an image that a draft does not name stays as it is. Without `keep` it only says what would come of it.
        """
        with self.writing(keep=keep) as connection:
            return Saving(connection, now).put(drafts)

    @transaction(again=False)
    def patch(self, key: str, change: ProductChange, now: int) -> Saved:
        """Changes what is named. Raises `CatalogRefused` ``no_such_product``, ``version_changed`` or as `put` does."""
        with self.writing() as connection:
            saving = Saving(connection, now)
            found = _known(connection, key)
            if isinstance(change.version, int) and change.version != found.version:
                raise CatalogRefused("version_changed", f"{key} is at version {found.version}.", version=found.version)
            return saving.put_whole(key, changed_draft(found, change))

    @transaction(again=False)
    def put_variant(self, key: str, variant: VariantDraft, now: int) -> bool:
        """Adds or replaces one variant; says whether it is new. Raises `CatalogRefused`."""
        with self.writing() as connection:
            saving = Saving(connection, now)
            found = _known(connection, key)
            saving.put_whole(key, with_variant(found, variant))
        return all(one.sku != variant.sku for one in found.variants)

    @transaction(again=False)
    def remove_variant(self, key: str, sku: str, now: int) -> None:
        """Raises `CatalogRefused` ``no_such_product``, ``no_such_variant``, ``last_variant``."""
        with self.writing() as connection:
            saving = Saving(connection, now)
            saving.put_whole(key, without_variant(_known(connection, key), sku))

    @transaction(again=False)
    def remove(self, key: str, now: int) -> None:
        """Takes a product away. Raises `CatalogRefused` ``no_such_product``."""
        with self.writing() as connection:
            saving = Saving(connection, now)
            saving.remove(_known(connection, key))

    @transaction(again=True)
    def note_availability(self, notes: Sequence[tuple[str, int, int]]) -> None:
        """Keeps (sku, available, version), each unless as new a version is kept already."""
        if not notes:
            return
        with self.writing() as connection:
            _NOTE_AVAILABILITY(connection, sorted(tuple(note) for note in notes))

    def loaded(self, name: str) -> bool:
        """Whether a data set of this name was noted as loaded."""
        with self.reading() as connection:
            return connection.scalar(select(loads.c.at).where(loads.c.name == name)) is not None

    @transaction(again=True)
    def note_loaded(self, name: str, now: int) -> None:
        """Notes a data set as loaded; a second time is no error."""
        with self.writing() as connection:
            insert_missing(connection, loads, [{"name": name, "at": now}])


def sort_value(product: Listed, sort: Sort) -> str | int:
    """What a list in this order compares first."""
    if sort == "name":
        return product.name.casefold()
    return product.created_at if sort == "newest" else product.price


def _known(connection: Connection, key: str) -> Product:
    found = loading.find_by_key(connection, key)
    if found is None:
        raise CatalogRefused("no_such_product", f"There is no product {key[:80]}.", sku=key[:80])
    return found


def _whole(connection: Connection, product: Product | None) -> Whole | None:
    if product is None:
        return None
    return Whole(product, _trail(connection, product.category), _related(connection, product))


def _trail(connection: Connection, path: str) -> list[CategoryName]:
    """The categories from the root down to `path`; none if it is not a category."""
    paths = paths_to(path)
    statement = select(*categories.c["path", "name"]).where(categories.c.path.in_(paths)).order_by(categories.c.path)
    found = [CategoryName(*row) for row in connection.execute(statement)]
    return found if len(found) == len(paths) else []


def _related(connection: Connection, product: Product) -> list[Listed]:
    if not product.related:
        return []
    keys = {sku: sku for sku in product.related} | loading.holders(connection, product.related)
    statement = loading.LISTED.where(products.c.sku.in_(keys.values()), products.c.for_sale == 1)
    found = {one.key: one for one in loading.listed(connection, statement) if one.key != product.key}
    wanted = dict.fromkeys(keys[sku] for sku in product.related)
    return [found[key] for key in wanted if key in found]


def _within(category: str) -> Any:
    # "0" is the character behind "/": the range holds all paths below, and can use the index.
    below = and_(products.c.category > f"{category}/", products.c.category < f"{category}0")
    return or_(products.c.category == category, below)


def _sorted(statement: Select[Any], sort: Sort, after: tuple[str | int, str] | None) -> Select[Any]:
    column = {"name": products.c.sort_name, "newest": products.c.created_at}.get(sort, products.c.price)
    down = sort in ("-price", "newest")
    if after is not None:
        value, key = after
        beyond = column < value if down else column > value
        beside = products.c.sku < key if down else products.c.sku > key
        statement = statement.where(or_(beyond, and_(column == value, beside)))
    return (
        statement.order_by(column.desc(), products.c.sku.desc()) if down else statement.order_by(column, products.c.sku)
    )
