"""The tables of what belongs to an account: mailed links, addresses, and what happened to it."""

import sqlalchemy as sa

from serve.users.tables import metadata

links = sa.Table(
    "links",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    # NULL: nobody has the address that was asked about; the row is there so that asking takes the same work.
    sa.Column("user_id", sa.ForeignKey("users.id"), index=True),
    sa.Column("purpose", sa.String(20), nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("used_at", sa.BigInteger),
    sa.Column("used_by", sa.String(32)),
)
addresses = sa.Table(
    "addresses",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("made_by", sa.String(32)),
    sa.Column("made_from", sa.LargeBinary),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("line1", sa.String(200), nullable=False),
    sa.Column("line2", sa.String(200)),
    sa.Column("city", sa.String(200), nullable=False),
    sa.Column("postal_code", sa.String(20), nullable=False),
    sa.Column("country", sa.String(2), nullable=False),
    sa.Column("phone", sa.String(40)),
    sa.Column("default_shipping", sa.Boolean, nullable=False),
    sa.Column("default_billing", sa.Boolean, nullable=False),
    sa.UniqueConstraint("user_id", "made_by"),
)
activity = sa.Table(
    "activity",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id"), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("what", sa.String(20), nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Index("activity_by_user", "user_id", "at", "id"),
    sa.Index("activity_by_kind", "user_id", "what", "at"),
)
