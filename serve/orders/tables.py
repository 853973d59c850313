"""The tables of the orders' own database, and what a database from before still needs."""

from sqlalchemy import BigInteger, Column, Connection, Index, String, Table, Text, inspect

from pipelines.sql.revisions import metadata_of

metadata = metadata_of("orders", "0002")

contacts = Table(
    "contacts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("order_id", String(64), nullable=False, index=True),
    Column("owner", String(160), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    # The contact as JSON; NULL once erased. The row stays, so that an order still finds whose it is.
    Column("contact", Text),
    # Who knows it may look at the order; NULL once revoked or erased.
    Column("access", String(64)),
    # A guest's address, in small letters, by which the guest is found; NULL once erased or given to an account.
    Column("guest_email", String(320), index=True),
)

# The three below are the list of orders: they can be emptied and filled again from the log.
listed = Table(
    "orders",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(160), nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("status", String(32), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("payment_status", String(32)),
    Index("orders_by_owner", "owner", "placed_at", "id"),
    Index("orders_by_status", "status", "placed_at", "id"),
    Index("orders_by_age", "placed_at", "id"),
)

order_skus = Table(
    "order_skus",
    metadata,
    Column("sku", String(64), primary_key=True),
    Column("order_id", String(64), primary_key=True),
)

parcels = Table(
    "parcels",
    metadata,
    Column("carrier", String(64), primary_key=True),
    Column("tracking", String(200), primary_key=True),
    Column("order_id", String(64), primary_key=True),
    Column("shipment_id", String(16), primary_key=True),
)

# These two are the sales: they, too, can be emptied and filled again. What an event has yet to tell is NULL.
sales = Table(
    "sales",
    metadata,
    Column("order_id", String(64), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("currency", String(3)),
    Column("subtotal", BigInteger),
    Column("shipping", BigInteger),
    Column("tax", BigInteger),
    Column("total", BigInteger),
    Column("units", BigInteger),
    Column("sold_at", BigInteger),
    Column("cancelled_at", BigInteger),
    Column("left_over", BigInteger),
    Index("sales_by_time", "sold_at"),
)

sale_lines = Table(
    "sale_lines",
    metadata,
    Column("order_id", String(64), primary_key=True),
    Column("sku", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
)


def bring_up_to_date(connection: Connection) -> None:
    """Adds the columns that a database from before lacks. Its list is emptied: the flow fills it again, whole."""
    if "access" not in _columns(connection, contacts):
        connection.exec_driver_sql("ALTER TABLE contacts ADD COLUMN access VARCHAR(64)")
    if "guest_email" not in _columns(connection, contacts):
        connection.exec_driver_sql("DROP INDEX IF EXISTS contacts_by_email")
        connection.exec_driver_sql("ALTER TABLE contacts ADD COLUMN guest_email VARCHAR(320)")
        connection.exec_driver_sql("CREATE INDEX ix_contacts_guest_email ON contacts (guest_email)")
        connection.exec_driver_sql(
            "UPDATE contacts SET guest_email = lower(json_extract(contact, '$.email')) WHERE owner LIKE 'guest:%'"
        )
    if "payment_status" not in _columns(connection, listed):
        connection.exec_driver_sql("ALTER TABLE orders ADD COLUMN payment_status VARCHAR(32)")
        connection.execute(listed.delete())


def _columns(connection: Connection, table: Table) -> set[str]:
    return {str(column["name"]) for column in inspect(connection).get_columns(table.name)}
