"""As much of Kong 3's declarative format as is used, and nothing besides: written after Kong's documents by hand."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]+$")]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Path = Annotated[str, Field(pattern=r"^(~/.*\$|/[A-Za-z0-9._~/%-]*)$")]
Seconds = Annotated[int, Field(ge=0, le=65_535)]
Milliseconds = Annotated[int, Field(ge=1, le=2_147_483_646)]
Status = Annotated[int, Field(ge=100, le=999)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class RateLimitingConfig(Strict):
    minute: Annotated[int, Field(gt=0)]
    limit_by: Literal["consumer", "credential", "ip", "service", "header", "path"]
    policy: Literal["local", "cluster", "redis"]
    hide_client_headers: bool


class RateLimiting(Strict):
    name: Literal["rate-limiting"]
    config: RateLimitingConfig


class JwtConfig(Strict):
    key_claim_name: str
    claims_to_verify: list[Literal["exp", "nbf"]]
    secret_is_base64: bool
    header_names: list[str]
    uri_param_names: list[str]
    cookie_names: list[str]
    run_on_preflight: bool


class Jwt(Strict):
    name: Literal["jwt"]
    config: JwtConfig


class AclConfig(Strict):
    allow: list[str]
    hide_groups_header: bool


class Acl(Strict):
    name: Literal["acl"]
    config: AclConfig


class SizeConfig(Strict):
    allowed_payload_size: Annotated[int, Field(gt=0)]
    size_unit: Literal["bytes", "kilobytes", "megabytes"]
    require_content_length: bool


class Size(Strict):
    name: Literal["request-size-limiting"]
    config: SizeConfig


class CorsConfig(Strict):
    origins: list[str]
    methods: list[Method]
    headers: list[str]
    exposed_headers: list[str]
    credentials: bool
    max_age: int
    preflight_continue: bool


class Cors(Strict):
    name: Literal["cors"]
    config: CorsConfig


OfRoute = Annotated[RateLimiting | Jwt | Acl, Field(discriminator="name")]
Global = Annotated[Size | Cors, Field(discriminator="name")]


class Route(Strict):
    name: Name
    methods: Annotated[list[Method], Field(min_length=1)]
    paths: Annotated[list[Path], Field(min_length=1)]
    strip_path: bool
    preserve_host: bool
    response_buffering: bool
    plugins: list[OfRoute]


class Service(Strict):
    name: Name
    host: Name
    protocol: Literal["http", "https"]
    port: Annotated[int, Field(ge=0, le=65_535)]
    connect_timeout: Milliseconds
    read_timeout: Milliseconds
    write_timeout: Milliseconds
    retries: Annotated[int, Field(ge=0, le=32_767)]
    routes: list[Route]


class Target(Strict):
    target: Annotated[str, Field(pattern=r"^([A-Za-z0-9.-]+|\[[0-9a-f:]+\]):\d{1,5}$")]
    weight: Annotated[int, Field(ge=0, le=65_535)]


class Healthy(Strict):
    interval: Seconds
    successes: Annotated[int, Field(ge=0, le=255)]
    http_statuses: list[Status]


class Unhealthy(Strict):
    interval: Seconds
    tcp_failures: Annotated[int, Field(ge=0, le=255)]
    timeouts: Annotated[int, Field(ge=0, le=255)]
    http_failures: Annotated[int, Field(ge=0, le=255)]
    http_statuses: list[Status]


class Active(Strict):
    type: Literal["http", "https", "tcp"]
    http_path: Path
    timeout: Seconds
    healthy: Healthy
    unhealthy: Unhealthy


class Healthchecks(Strict):
    active: Active


class Upstream(Strict):
    name: Name
    algorithm: Literal["round-robin", "least-connections", "consistent-hashing", "latency"]
    targets: Annotated[list[Target], Field(min_length=1)]
    healthchecks: Healthchecks


class Rs256(Strict):
    key: str
    algorithm: Literal["RS256"]
    rsa_public_key: Annotated[str, Field(pattern=r"^-----BEGIN PUBLIC KEY-----\n[\s\S]+\n-----END PUBLIC KEY-----\n$")]


class Hs256(Strict):
    key: str
    algorithm: Literal["HS256"]
    secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+=*$")]


class Group(Strict):
    group: str


class Consumer(Strict):
    username: Name
    acls: list[Group] = []
    jwt_secrets: list[Annotated[Rs256 | Hs256, Field(discriminator="algorithm")]]


class Kong(Strict):
    format_version: Annotated[Literal["3.0"], Field(alias="_format_version")]
    transform: Annotated[bool, Field(alias="_transform")]
    upstreams: list[Upstream]
    services: list[Service]
    consumers: list[Consumer]
    plugins: list[Global]
