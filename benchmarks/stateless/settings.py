"""What the stateless service can be told, by environment variables that begin with `STATELESS_`."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The address of the database decides how it is driven: `sqlite:///…` or `mysql+pymysql://…`."""

    model_config = SettingsConfigDict(env_prefix="STATELESS_", frozen=True)

    url: str = "sqlite:///stateless.db"
    gateway_url: str = ""
    """Where the fake gateway commits its charges; empty: `gateway.db` beside a SQLite file, else the shop's server."""
    signing_key: str = "only-for-benchmarks"
    threads: int = 0
    """Threads of one worker, each with a connection of its own; 0: 24 on a server, 4 on SQLite (it has one writer)."""
    inline: bool | None = None
    """Whether a request runs on the event loop, not in a thread; None: on SQLite, where that costs less CPU."""
    currency: str = "GBP"
    tax_rate_bp: int = 2000
    prices_include_tax: bool = True

    @property
    def on_the_loop(self) -> bool:
        """Whether requests run on the event loop."""
        return self.url.startswith("sqlite") if self.inline is None else self.inline

    @property
    def pool(self) -> int:
        """How many transactions of one worker run at once."""
        return self.threads or (4 if self.url.startswith("sqlite") else 24)

    @property
    def gateway(self) -> str:
        """The database URL of the fake gateway."""
        if self.gateway_url or not self.url.startswith("sqlite"):
            return self.gateway_url or self.url
        folder, _, _ = self.url.rpartition("/")
        return f"{folder}/gateway.db"
