"""The process that runs Ray and the shop; `troupe run` starts it and stands in front of it."""

import json
import sys
import time

from rich.console import Console

from serve.cluster import Cluster
from serve.preflight import CannotStart
from serve.settings import Settings
from serve.supervising import Stopping

console = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> int:
    given = json.load(sys.stdin)
    settings = Settings.unpacked(given["settings"])
    began = time.monotonic()
    cluster = Cluster(settings, lambda text: console.print(f"[dim]{time.monotonic() - began:5.1f} s[/] {text}"))
    stopping = Stopping()
    stopping.listen()
    try:
        cluster.start()
        stopping.listen()
        if given["demo"] and not stopping.wanted:
            _load_demo(settings)
        if not stopping.wanted:
            seconds = time.monotonic() - began
            if settings.is_whole:
                _tell_where(settings.url, seconds)
            else:
                names = ", ".join(settings.services)
                console.print(f"\n[bold green]Open[/] after {seconds:.0f} s: {names} at {settings.url}/docs\n")
        stopping.wait()
    except CannotStart as error:
        console.print(f"[red]{error}")
        return 1
    finally:
        cluster.stop()
    return 0


def _load_demo(settings: Settings) -> None:
    from serve.cli.demo import load

    load(settings, console)


def _tell_where(url: str, seconds: float) -> None:
    console.print(f"\n[bold green]The shop is open[/] after {seconds:.0f} s: {url}/docs   (Ctrl-C closes it)\n")
    console.print("Buy something:")
    lines = (
        f"SKU=$(curl -s '{url}/api/catalog/products?limit=1' | python3 -c "
        '\'import json,sys; print(json.load(sys.stdin)["items"][0]["sku"])\')',
        f"TOKEN=$(curl -s {url}/api/cart/items -H 'Content-Type: application/json' "
        '-d \'{"sku": "\'$SKU\'", "quantity": 2}\' | python3 -c '
        "'import json,sys; print(json.load(sys.stdin)[\"guest_token\"])')",
        f"curl -s {url}/api/orders -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' -d "
        '\'{"email": "you@example.com", "address": {"name": "You", "line1": "1 High Street", '
        '"city": "London", "postal_code": "N1 9GU", "country": "GB"}, "shipping_method": "standard", '
        '"payment": {"method": "card", "reference": "pm_card_visa"}}\'',
    )
    # Not through the console, which would break the lines.
    sys.stdout.write("".join(f"  {line}\n" for line in lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
