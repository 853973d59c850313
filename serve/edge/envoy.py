"""The bootstrap of an Envoy in front of the shop's nodes: one listener, a route a service, clusters, tokens, limits."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from serve.edge.envoy_answers import local_answers
from serve.edge.envoy_tokens import tokens_filter
from serve.edge.front_door import JWKS_PATH, READING, READY_PATH, SILENT_SECONDS, FrontDoor, Node, Service
from serve.gateway.limiting import ADMIN

Json = dict[str, Any]
API = "type.googleapis.com/envoy.extensions"
SHOP = "shop"
# What comes back without the request's having been sent is sent to another node, also when it writes; what reads may be
# asked twice.
_NEVER_SENT = "connect-failure,refused-stream,reset-before-request"
_READ_AGAIN = f"{_NEVER_SENT},reset"
# The shop's own server closes idle connections later than this, so that none is closed under a request.
_IDLE_SECONDS = 4
_READS: Json = {"name": ":method", "string_match": {"safe_regex": {"regex": "|".join(READING)}}}
# Whoever has an IPv6 address has the whole /64 around it.
_ADDRESS: Json = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}


class Choices(NamedTuple):
    """How Envoy is to run. `admin`: its own page on the loopback interface; None: it has none.

    `hops`: proxies before it that may say in X-Forwarded-For who calls. `jwks_seconds`: how long the shop's keys are
    kept; new ones must have been published for longer before they sign.
    """

    listen: Node
    certificate: Path | None = None
    key: Path | None = None
    admin: int | None = None
    hops: int = 0
    jwks_seconds: int = 60


def bootstrap(door: FrontDoor, choices: Choices, guests_jwks: Path) -> Json:
    """`guests_jwks`: the file that has `guests_keys`, on the machine where Envoy runs."""
    made: Json = {
        "static_resources": {
            "listeners": [_listener(door, choices, guests_jwks)],
            "clusters": [_cluster(name, nodes) for name, nodes in clusters(door).items()],
        }
    }
    if choices.admin is not None:
        made["admin"] = {"address": _address(Node("127.0.0.1", choices.admin))}
    return made


def clusters(door: FrontDoor) -> dict[str, tuple[Node, ...]]:
    """The nodes by cluster: one for all services that share their nodes, one of its own for each other."""
    return {SHOP: door.usual, **{service.name: service.nodes for service in door.apart}}


def _cluster_of(door: FrontDoor, service: Service) -> str:
    return service.name if service.name in clusters(door) else SHOP


def _listener(door: FrontDoor, choices: Choices, guests_jwks: Path) -> Json:
    chain: Json = {
        "filters": [
            {
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": _connection_manager(door, choices, guests_jwks),
            }
        ]
    }
    if choices.certificate is not None and choices.key is not None:
        files = {"certificate_chain": str(choices.certificate), "private_key": str(choices.key)}
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{API}.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                    "tls_certificates": [{name: {"filename": file} for name, file in files.items()}],
                },
            },
        }
    return {
        "name": SHOP,
        "address": _address(choices.listen),
        "per_connection_buffer_limit_bytes": 32_768,
        "filter_chains": [chain],
    }


def _connection_manager(door: FrontDoor, choices: Choices, guests_jwks: Path) -> Json:
    return {
        "@type": f"{API}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": SHOP,
        # The shop reads X-Forwarded-For from the right and believes what TROUPE_TRUSTED_PROXIES names, so Envoy adds
        # who called it, and nobody's x-envoy headers are obeyed.
        "use_remote_address": True,
        "xff_num_trusted_hops": choices.hops,
        "internal_address_config": {"cidr_ranges": [], "unix_sockets": False},
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "server_header_transformation": "PASS_THROUGH",
        # Envoy and the shop must mean the same route by the same path.
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
        "request_headers_timeout": "10s",
        "request_timeout": "20s",
        "stream_idle_timeout": f"{SILENT_SECONDS}s",
        "local_reply_config": local_answers(door.max_body),
        "http_filters": list(_filters(door, choices, guests_jwks)),
        "route_config": {
            "name": SHOP,
            "virtual_hosts": [{"name": SHOP, "domains": ["*"], "routes": list(_routes(door))}],
        },
    }


def _filters(door: FrontDoor, choices: Choices, guests_jwks: Path) -> Iterable[Json]:
    if door.limits:
        yield _filter("local_ratelimit.v3.LocalRateLimit", _limits(door))
    users = _cluster_of(door, door.service("users"))
    keys = {"uri": f"http://{SHOP}{JWKS_PATH}", "cluster": users, "timeout": "5s"}
    yield _filter("jwt_authn.v3.JwtAuthentication", tokens_filter(door, keys, choices.jwks_seconds, guests_jwks))
    # The body is whole before a node sees the request: a slow sender costs the shop nothing.
    yield _filter("buffer.v3.Buffer", {"max_request_bytes": door.max_body})
    yield _filter("router.v3.Router", {})


def _filter(kind: str, config: Mapping[str, Any]) -> Json:
    name = f"envoy.filters.http.{kind.partition('.')[0]}"
    return {"name": name, "typed_config": {"@type": f"{API}.filters.http.{kind}", **config}}


def _limits(door: FrontDoor) -> Json:
    """What one address may send, by class of routes, whoever it says it is. The shop counts users and guests apart."""
    return {
        "stat_prefix": "limits",
        "filter_enabled": {"default_value": {"numerator": 100}},
        "filter_enforced": {"default_value": {"numerator": 100}},
        "response_headers_to_add": [{"header": {"key": "retry-after", "value": "1"}}],
        "rate_limits": [{"actions": [_of_class(limit.group), _ADDRESS]} for limit in door.limits],
        "descriptors": [
            {
                "entries": [{"key": "class", "value": limit.group}, {"key": "masked_remote_address"}],
                "token_bucket": {
                    "max_tokens": limit.burst,
                    "tokens_per_fill": limit.per_minute,
                    "fill_interval": "60s",
                },
            }
            for limit in door.limits
        ],
        "max_dynamic_descriptors": 100_000,
    }


def _of_class(group: str) -> Json:
    staff = {"name": ":path", "string_match": {"prefix": ADMIN}}
    headers: list[Json] = [staff]
    if group != "staff":
        headers = [{**staff, "invert_match": True}, {**_READS, "invert_match": group == "write"}]
    return {"header_value_match": {"descriptor_key": "class", "descriptor_value": group, "headers": headers}}


def _routes(door: FrontDoor) -> Iterable[Json]:
    """What no service answers is answered by Envoy, with 404: /metrics is not for the world."""
    for service in door.services:
        for start in service.starts:
            for reads in (True, False):
                yield _route(door, service, start, reads=reads)


def _route(door: FrontDoor, service: Service, start: str, *, reads: bool) -> Json:
    match: Json = {"path_separated_prefix": start}
    if reads:
        match["headers"] = [_READS]
    return {
        "name": f"{service.name}: {start}",
        "match": match,
        "route": {
            "cluster": _cluster_of(door, service),
            "timeout": "0s",  # streams go on for as long as they say something
            "idle_timeout": f"{SILENT_SECONDS}s",
            "retry_policy": _retries(_READ_AGAIN if reads else _NEVER_SENT),
        },
    }


def _retries(on: str) -> Json:
    previous = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "retry_on": on,
        "num_retries": 2,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"type.googleapis.com/{previous}"},
            }
        ],
        "host_selection_retry_max_attempts": 5,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    }


def _cluster(name: str, nodes: tuple[Node, ...]) -> Json:
    bounds = {"max_connections": 20_000, "max_pending_requests": 20_000, "max_requests": 20_000, "max_retries": 1000}
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        # When no node is well all are asked: a shop that cannot take orders may still show its goods.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}},
        "circuit_breakers": {"thresholds": [bounds]},
        "health_checks": [
            {
                "timeout": "5s",
                "interval": "1s",
                "no_traffic_interval": "0.5s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {"path": READY_PATH},
            }
        ],
        # Only broken connections count: a 503 of the shop says that it is busy, which the other nodes are, too.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "base_ejection_time": "5s",
            "max_ejection_percent": 50,
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{API}.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{_IDLE_SECONDS}s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(one)}} for one in nodes]}],
        },
    }


def _address(node: Node) -> Json:
    return {"socket_address": {"address": node.host, "port_value": node.port}}
