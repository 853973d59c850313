"""Which engine the settings choose, for those that answer, and whom to ask for another index."""

from serve.catalog.search import generations
from serve.catalog.search.analysis import Analysis
from serve.catalog.search.base import ProductSearch
from serve.catalog.search.elastic import ElasticSearch
from serve.catalog.search.elastic_client import PREFIX, WRITING_SECONDS, client_of
from serve.catalog.search.elastic_indexes import Names, setup
from serve.catalog.search.elastic_indexes import ask_for_rebuild as ask_elasticsearch
from serve.catalog.search.embedded import EmbeddedSearch
from serve.catalog.search.synonyms import Synonyms
from serve.settings import Settings


def search_of(settings: Settings) -> ProductSearch:
    """Raises BadSynonyms."""
    analysis = Analysis(settings.language)
    synonyms = Synonyms(settings.search_synonyms, analysis)
    if settings.elasticsearch_url is None:
        return EmbeddedSearch(settings.search_dir, analysis, synonyms)
    return ElasticSearch(settings.elasticsearch_url.get_secret_value(), analysis, synonyms, names_of(settings))


def names_of(settings: Settings) -> Names:
    """Of the indexes in Elasticsearch, told apart as topics are: how far an index has come is a place in a topic."""
    return Names(settings.language, settings.kafka_prefix + PREFIX)


async def set_up_search(settings: Settings) -> None:
    """What has to be there before anything is written or asked; nothing on this machine's disk. May be run again."""
    if settings.elasticsearch_url is not None:
        client = client_of(settings.elasticsearch_url.get_secret_value(), WRITING_SECONDS)
        try:
            await setup(client, names_of(settings))
        finally:
            await client.close()


async def ask_for_rebuild(settings: Settings) -> None:
    """Whoever runs the indexer begins within a second, or when it is started."""
    if settings.elasticsearch_url is None:
        generations.ask_for_rebuild(settings.search_dir)
        return
    client = client_of(settings.elasticsearch_url.get_secret_value(), WRITING_SECONDS)
    try:
        await ask_elasticsearch(client, names_of(settings))
    finally:
        await client.close()
