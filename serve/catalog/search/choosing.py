"""Which engine the settings choose, for those that answer, and whom to ask for another index."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from elasticsearch import AsyncElasticsearch

from serve.catalog.search import generations
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.base import ProductSearch
from serve.catalog.search.elastic import ElasticSearch
from serve.catalog.search.elastic_client import PREFIX, WRITING_SECONDS, Access, client_of
from serve.catalog.search.elastic_indexes import Names, setup
from serve.catalog.search.elastic_indexes import ask_for_rebuild as ask_elasticsearch
from serve.catalog.search.elastic_indexes import is_rebuild_wanted as wanted_of_elasticsearch
from serve.catalog.search.embedded import EmbeddedSearch
from serve.catalog.search.synonyms import Synonyms
from serve.settings import Settings


def search_of(settings: Settings) -> ProductSearch:
    """Raises BadSynonyms."""
    analysis = Analysis(settings.language)
    synonyms = Synonyms(settings.search_synonyms, analysis)
    access = access_of(settings)
    if access is None:
        return EmbeddedSearch(settings.search_dir, analysis, synonyms)
    return ElasticSearch(access, analysis, synonyms, names_of(settings))


def access_of(settings: Settings) -> Access | None:
    """None: there is no Elasticsearch."""
    if settings.elasticsearch_address is None:
        return None
    key = settings.elasticsearch_api_key
    return Access(settings.elasticsearch_address, None if key is None else key.get_secret_value(), settings.tls)


def names_of(settings: Settings) -> Names:
    """Of the indexes in Elasticsearch, told apart as topics are: how far an index has come is a place in a topic."""
    return Names(settings.language, settings.kafka_prefix + PREFIX)


@asynccontextmanager
async def elasticsearch_of(settings: Settings) -> AsyncIterator[AsyncElasticsearch | None]:
    """For what takes its time; None: the index is on this machine's disk."""
    access = access_of(settings)
    if access is None:
        yield None
        return
    client = client_of(access, WRITING_SECONDS)
    try:
        yield client
    finally:
        await client.close()


async def set_up_search(settings: Settings) -> None:
    """What has to be there before anything is written or asked; nothing on this machine's disk. May be run again."""
    async with elasticsearch_of(settings) as client:
        if client is not None:
            await setup(client, names_of(settings))


async def ask_for_rebuild(settings: Settings) -> None:
    """Whoever runs the indexer begins within a second, or when it is started."""
    async with elasticsearch_of(settings) as client:
        if client is None:
            generations.ask_for_rebuild(settings.search_dir)
        else:
            await ask_elasticsearch(client, names_of(settings))


async def is_rebuild_wanted(settings: Settings) -> bool:
    """Whether somebody asked for another index, which does not answer yet. Raises what Elasticsearch raises."""
    async with elasticsearch_of(settings) as client:
        if client is None:
            return generations.is_rebuild_wanted(settings.search_dir)
        return await wanted_of_elasticsearch(client, names_of(settings))
