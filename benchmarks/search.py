"""Product search at its port, on this machine's disk and on Elasticsearch, side by side over the same products.

`python -m benchmarks.search --products 50000` starts an Elasticsearch of its own. The products are the demo's, told
apart by made names, brands and colours; the questions are the same for both, and each is asked once: nothing answers
from what it kept, but for Elasticsearch's counts of all products in each step of prices, which no question changes.
Milliseconds are the caller's, processor time is the engine's and the caller's together.
"""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, NamedTuple

import psutil
import typer
from pydantic import SecretStr
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.on_servers import Private
from benchmarks.samples import percentile
from benchmarks.target import Missing, end_when_told
from pipelines.events.catalog import ProductFacts, VariantFacts
from pipelines.index_products import Change, ProductIndexes
from pipelines.projection import Versioned
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.base import Asked, ProductSearch, Wanted
from serve.catalog.search.choosing import elasticsearch_of, names_of, search_of, set_up_search
from serve.catalog.search.elastic_indexes import ElasticIndexes
from serve.catalog.search.elastic_stock import ElasticStock
from serve.catalog.search.generations import Generations
from serve.catalog.slugs import category_steps, slugify
from serve.demo.load import demo_products
from serve.settings import Settings

BATCH = 1_000
NOT_MEASURED = 2
COLOURS = ("red", "blue", "green", "black", "white", "grey", "sand", "moss")
SYLLABLES = ("ba", "ko", "lin", "mar", "no", "per", "sa", "tor", "vel", "wick", "zen", "dal")

Ask = Callable[[ProductSearch], Awaitable[object]]
console = Console()


class Question(NamedTuple):
    """What is asked, and the kind of question that it is."""

    kind: str
    ask: Ask


class Engine(NamedTuple):
    """An adapter, and the processes that work for it."""

    search: ProductSearch
    pids: tuple[int, ...]

    def cpu(self) -> float:
        """Seconds that they have spent."""
        return float(sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in self.pids))


class Answered(NamedTuple):
    """How long each question of a kind took, in milliseconds in order; processor milliseconds for one."""

    took: list[float]
    cpu: float


def made(count: int, chance: random.Random) -> Iterator[ProductFacts]:
    """Products with two variants each."""
    patterns = demo_products()
    for number in range(count):
        pattern = patterns[number % len(patterns)]
        brand = "".join(chance.choices(SYLLABLES, k=2))
        name = f"{brand.capitalize()} {pattern.name} {''.join(chance.choices(SYLLABLES, k=3))}"
        colour = chance.choice(COLOURS)
        price = int(Decimal(pattern.price) * 100) + chance.randrange(2_000)
        options = (colour, chance.choice(COLOURS))
        yield ProductFacts(
            id=f"p{number}",
            slug=f"{slugify(name)}-{number}",
            name=name,
            description=pattern.description.strip(),
            categories=tuple((step.path.rpartition("/")[2], step.name) for step in category_steps(pattern.category)),
            attributes={**pattern.specifications, "Brand": brand, "Colour": colour},
            status="active",
            created_at=1_750_000_000_000 + number,
            image=None,
            variants=tuple(
                VariantFacts(f"SKU-{number}-{place}", {"colour": one}, price + 100 * place, "standard", "active", 1)
                for place, one in enumerate(options)
            ),
        )


def questions(products: list[ProductFacts], each: int, chance: random.Random) -> list[Question]:
    """`each` of every kind, mixed."""

    def searching(asked: Asked) -> Ask:
        return lambda engine: engine.search(asked)

    def suggesting(text: str) -> Ask:
        return lambda engine: engine.suggest(text, 8)

    asked = []
    for _ in range(each):
        one = chance.choice(products)
        words = one.name.lower().split()
        two = f"{words[0]} {chance.choice(words[1:])}"
        at = chance.randrange(1, len(words[0]) - 1)
        typo = words[0][:at] + words[0][at + 1 :] + " " + words[1]
        price = one.variants[0].price
        narrowed = Asked(
            text=words[1],
            categories=(one.categories[0][0],),
            price_min=price - 1_500,
            price_max=price + 1_500,
            available=True,
            attributes={"colour": Wanted((str(one.attributes["Colour"]),))},
        )
        asked += [
            Question("two words", searching(Asked(text=two))),
            Question("a typo", searching(Asked(text=typo))),
            Question("a word and four filters", searching(narrowed)),
            Question("everything, by price", searching(Asked(sort="price", price_min=chance.randrange(5_000)))),
            Question("suggestions", suggesting(two[: chance.randrange(3, len(two))])),
        ]
    chance.shuffle(asked)
    return asked


async def fill(name: str, indexes: ProductIndexes, stock: ElasticStock | None, products: list[ProductFacts]) -> None:
    """Each product with one variant in stock."""
    index = await indexes.begin()
    for at in track(range(0, len(products), BATCH), f"{name}: indexing", console=console):
        batch = products[at : at + BATCH]
        there = frozenset(one.variants[0].sku for one in batch)
        await index.write([Change(one.id, one, there, 1) for one in batch], at + 1)
        if stock is not None:
            await stock.note_stock({sku: Versioned(1, 5) for sku in there})
    await indexes.switch_to(index)


async def measure(name: str, engine: Engine, asked: list[Question], clients: int) -> dict[str, Answered]:
    """Each question once, `clients` at a time."""
    took: dict[str, list[float]] = {}
    waiting = iter(track(asked, f"{name}: {clients} at a time", console=console))

    async def client() -> None:
        for question in waiting:
            began = time.perf_counter()
            await question.ask(engine.search)
            took.setdefault(question.kind, []).append(1_000 * (time.perf_counter() - began))

    before = engine.cpu()
    await asyncio.gather(*(client() for _ in range(clients)))
    spent = 1_000 * (engine.cpu() - before) / len(asked)
    return {kind: Answered(sorted(times), spent) for kind, times in sorted(took.items())}


def table(clients: int, answered: dict[str, dict[str, Answered]]) -> Table:
    """A row for each kind of question and engine."""
    shown = Table(title=f"{clients} at a time, milliseconds")
    for head in ("", "engine", "asked", "p50", "p95", "p99", "worst", "CPU, all kinds"):
        shown.add_column(head, justify="left" if head in ("", "engine") else "right")
    for kind in next(iter(answered.values())):
        for name, kinds in answered.items():
            took, cpu = kinds[kind]
            numbers = (*(percentile(took, q) for q in (50, 95, 99)), took[-1], cpu)
            shown.add_row(kind, name, f"{len(took):,}", *(f"{number:.1f}" for number in numbers))
    return shown


async def run(count: int, each: int, clients: list[int], on_disk: Settings, elastic: Settings, pid: int) -> None:
    """Fills both engines, asks both, and prints a table for each number of clients."""
    chance = random.Random(1)
    products = list(made(count, chance))
    analysis = Analysis(on_disk.language)
    await set_up_search(elastic)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(elasticsearch_of(elastic))
        assert client is not None
        generations = Generations(on_disk.search_dir, analysis)
        stack.push_async_callback(generations.close)
        await fill("on disk", generations, None, products)
        indexes = ElasticIndexes(client, names_of(elastic), analysis)
        await fill("Elasticsearch", indexes, ElasticStock(client, names_of(elastic)), products)
        own = os.getpid()
        engines = {
            "on disk": Engine(search_of(on_disk), (own,)),
            "Elasticsearch": Engine(search_of(elastic), (own, pid)),
        }
        for name, engine in engines.items():
            stack.push_async_callback(engine.search.close)
            await measure(f"{name}, warming up", engine, questions(products, 100, chance), 4)
        for at_once in clients:
            asked = questions(products, each, chance)
            answered = {name: await measure(name, engine, asked, at_once) for name, engine in engines.items()}
            console.print(table(at_once, answered))


def main(
    products: Annotated[int, typer.Option(min=1_000)] = 50_000,
    each: Annotated[int, typer.Option(min=20, help="Questions of each kind.")] = 400,
    clients: Annotated[str, typer.Option(help="Numbers of clients, with commas.")] = "1,4",
) -> None:
    """Measures both engines. Exit status 2: there is no Elasticsearch here."""
    end_when_told()
    with tempfile.TemporaryDirectory(prefix="troupe-search-") as name, closing_servers(Path(name)) as servers:
        machine = describe(Path(name))
        console.print(
            f"{machine.processor}, {machine.cores} cores, {products:,} products, commit {machine.commit[:12]}"
        )
        numbers = [int(number) for number in clients.split(",")]
        on_disk = Settings(data_dir=Path(name) / "data")
        elastic = on_disk.model_copy(update={"elasticsearch_url": SecretStr(servers.url("elasticsearch"))})
        asyncio.run(run(products, each, numbers, on_disk, elastic, servers.roots()[0].pid))


@contextmanager
def closing_servers(folder: Path) -> Iterator[Private]:
    """An Elasticsearch for as long as it is needed."""
    folder.chmod(0o711)  # it refuses to be run by root, and its own user has to get to its folder
    servers = Private(("elasticsearch",), folder / "servers")
    try:
        servers.start()
        yield servers
    except Missing as missing:
        console.print(f"not measured: {missing}")
        raise typer.Exit(NOT_MEASURED) from None
    finally:
        servers.stop()


if __name__ == "__main__":
    typer.run(main)
