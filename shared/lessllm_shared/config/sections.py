"""The sections of lessllm.yaml, one class each. Every field is also LESSLLM_SECTION__FIELD, but for maps.

A section holds only what works: a key that is not here is refused by name.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from lessllm_shared.providers import WireFormat

Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
Secret = Annotated[SecretStr, Field(min_length=1)]
UsdPerMtok = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProxyAuth(Section):
    """User name and password for the proxy, when they are not in its URL."""

    username: str
    password: SecretStr


class Proxy(Section):
    """The way out. `socks_proxy` wins over the others; nothing set means the environment, then direct."""

    http_proxy: SecretStr | None = None  # secret: a proxy's URL may hold its password
    https_proxy: SecretStr | None = None
    socks_proxy: SecretStr | None = None
    auth: ProxyAuth | None = None
    no_proxy: tuple[str, ...] = ()
    trust_env: bool = True

    @field_validator("http_proxy", "https_proxy")
    @classmethod
    def _http(cls, value: SecretStr | None) -> SecretStr | None:
        return _with_scheme(value, ("http", "https"))

    @field_validator("socks_proxy")
    @classmethod
    def _socks(cls, value: SecretStr | None) -> SecretStr | None:
        return _with_scheme(value, ("socks", "socks4", "socks4a", "socks5", "socks5h"))


def _with_scheme(value: SecretStr | None, schemes: tuple[str, ...]) -> SecretStr | None:
    if value is not None:
        scheme, separator, rest = value.get_secret_value().partition("://")
        if not separator or not rest or scheme.lower() not in schemes:
            raise ValueError(f"must be a URL that starts with {' or '.join(f'{s}://' for s in schemes)}")
    return value


class Timeouts(Section):
    """Limits on an upstream call, in seconds."""

    connect_s: Seconds = 10
    first_byte_s: Seconds = 300
    idle_s: Seconds = 120
    total_s: Seconds = 900


class Pool(Section):
    """Upstream connections kept by one gateway process."""

    max_connections: Annotated[int, Field(ge=1)] = 1000
    keepalive_s: Seconds = 60


class Provider(Section):
    """A provider. Fields that are not set come from the preset of that name, if there is one."""

    format: WireFormat | None = None
    base_url: HttpUrl | None = None
    api_key: Secret | None = None
    key_header: str | None = None  # default: Authorization: Bearer for OpenAI, x-api-key for Anthropic
    proxy: Literal["direct"] | Proxy | None = None
    stream_options: bool | None = None


class Model(Section):
    """An alias: the name that clients use → a provider's model."""

    provider: str
    model: str | None = None  # default: the alias itself
    measure_non_streaming: bool | None = None


class Key(Section):
    """A client's key. Its name is the user in the records."""

    name: Annotated[str, Field(min_length=1)]
    key: Secret


class Auth(Section):
    """Who may call. No keys: everybody who reaches the port."""

    keys: tuple[Key, ...] = ()


class Gateway(Section):
    """The gateway's own settings."""

    host: str = "127.0.0.1"
    port: Port = 8000
    allowed_hosts: tuple[str, ...] = ()  # besides loopback names
    default_provider: str = "openai"
    max_request_bytes: Annotated[int, Field(ge=1024)] = 50 * 1024 * 1024
    measure_non_streaming: bool = True
    record_buffer_bytes: Annotated[int, Field(ge=1024 * 1024)] = 256 * 1024 * 1024


class Query(Section):
    """Limits on a user's SQL."""

    timeout_s: Seconds = 30
    max_rows: Annotated[int, Field(ge=1)] = 100_000
    memory_limit: Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?\s?(MB|GB|MiB|GiB)$")] = (
        "4GiB"  # a bound, not a reservation: DuckDB unpacks 2,048 bodies at once, however large
    )
    threads: Annotated[int, Field(ge=1)] = 2


class Collector(Section):
    """The collector: where it listens, and where gateways find it."""

    host: str = "127.0.0.1"
    port: Port = 8001
    endpoint: str = "tcp://127.0.0.1:5555"
    allowed_hosts: tuple[str, ...] = ()
    api_key: Secret | None = None
    query: Query = Query()

    @field_validator("endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        if not value.startswith(("tcp://", "ipc://")):
            raise ValueError("must start with tcp:// or ipc://")
        return value


class Logging(Section):
    """What is recorded, and where."""

    enabled: bool = True
    storage: Literal["duckdb"] = "duckdb"
    db_path: Path = Path("lessllm.duckdb")
    max_body_bytes: Annotated[int, Field(ge=0)] = 50 * 1024 * 1024
    debug_mode: bool = False
    enable_cache_analysis: bool = True


class Price(Section):
    """A model's own price, in USD per million tokens. Unset cache prices are those of fresh input."""

    input_usd_per_mtok: UsdPerMtok
    output_usd_per_mtok: UsdPerMtok
    cache_read_usd_per_mtok: UsdPerMtok | None = None
    cache_write_usd_per_mtok: UsdPerMtok | None = None


class Server(Section):
    """For `import lessllm`: running services to attach to, instead of starting some."""

    url: HttpUrl
    collector_url: HttpUrl
