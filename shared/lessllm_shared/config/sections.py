"""The sections of lessllm.yaml, one class each. Every field is also LESSLLM_SECTION__FIELD, but for maps.

A section holds only what works: a key that is not here is refused by name.
"""

from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from lessllm_shared.config.values import (
    CurveKey,
    Duration,
    HashedKey,
    HttpUrl,
    Moment,
    Port,
    Seconds,
    Secret,
    SensitiveKinds,
    SensitivePolicy,
    Sha256,
    UsdPerMtok,
)
from lessllm_shared.providers import WireFormat

# fmt: off
Caches = Literal[
    "anthropic", "azure", "dashscope", "deepseek", "gemini", "groq", "llama.cpp", "mistral", "moonshot",
    "openai", "openrouter", "sglang", "vllm", "xai",
]
# fmt: on

_SOCKS = ("socks", "socks4", "socks4a", "socks5", "socks5h")


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProxyAuth(Section):
    """User name and password for the proxy, when they are not in its URL."""

    username: str
    password: SecretStr


class Tls(Section):
    """Certificates besides the well-known ones: where TLS is intercepted, or callers must show theirs."""

    ca_file: Path | None = None  # PEM; trusted beside the well-known and the system's authorities
    client_cert_file: Path | None = None  # PEM
    client_key_file: Path | None = None  # PEM; default: in client_cert_file


class Proxy(Section):
    """The way out: `chain`, else `socks_proxy`, else the others; none set: the environment, then direct."""

    http_proxy: SecretStr | None = None  # secret: a proxy's URL may hold its password
    https_proxy: SecretStr | None = None
    socks_proxy: SecretStr | None = None
    chain: tuple[SecretStr, ...] = ()  # tried in order
    fallback_direct: bool = False  # when every proxy failed: opt-in, for it leaks past the proxies
    auth: ProxyAuth | None = None
    tls: Tls = Tls()  # to https:// proxies themselves
    no_proxy: tuple[str, ...] = ()
    trust_env: bool = True

    @field_validator("http_proxy", "https_proxy")
    @classmethod
    def _http(cls, value: SecretStr | None) -> SecretStr | None:
        return _with_scheme(value, ("http", "https"))

    @field_validator("socks_proxy")
    @classmethod
    def _socks(cls, value: SecretStr | None) -> SecretStr | None:
        return _with_scheme(value, _SOCKS)

    @field_validator("chain")
    @classmethod
    def _any(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for url in value:
            _with_scheme(url, ("http", "https", *_SOCKS))
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.chain and (self.http_proxy or self.https_proxy or self.socks_proxy):
            raise ValueError("chain: stands instead of http_proxy, https_proxy and socks_proxy")
        return self


def _with_scheme(value: SecretStr | None, schemes: tuple[str, ...]) -> SecretStr | None:
    if value is not None:
        scheme, separator, rest = value.get_secret_value().partition("://")
        if not separator or not rest or scheme.lower() not in schemes:
            raise ValueError(f"must be a URL that starts with {' or '.join(f'{s}://' for s in schemes)}")
    return value


class Timeouts(Section):
    """Limits on an upstream call, in seconds."""

    connect_s: Seconds = 10  # each: waiting for a free connection, names and TCP, TLS with the upstream
    proxy_handshake_s: Seconds = 10  # TLS to the proxy, then SOCKS or CONNECT
    first_byte_s: Seconds = 300
    idle_s: Seconds = 120
    total_s: Seconds = 900


class Pool(Section):
    """Upstream connections kept by one gateway process."""

    max_connections: Annotated[int, Field(ge=1)] = 1000
    max_per_host: Annotated[int, Field(ge=1)] = 200  # of one provider by one proxy
    keepalive_s: Seconds = 60


class Retries(Section):
    """Further tries with the same provider. What may have been processed is repeated only if told so."""

    attempts: Annotated[int, Field(ge=0, le=10)] = 0  # after 408, 409, 429 and 5xx; SDKs repeat too
    max_wait_s: Seconds = 20  # a longer Retry-After is the client's to wait for
    budget: Annotated[float, Field(ge=0, le=1)] = 0.2  # further tries per call, over all calls
    resend: bool = False  # also when the connection broke or timed out after the request was sent


class Provider(Section):
    """A provider. Fields that are not set come from the preset of that name, if there is one."""

    format: WireFormat | None = None
    base_url: HttpUrl | None = None
    api_key: Secret | None = None
    key_header: str | None = None  # default: Authorization: Bearer for OpenAI, x-api-key for Anthropic
    proxy: Literal["direct"] | Proxy | None = None
    tls: Tls | None = None
    retries: Retries | None = None
    http2: bool = False
    stream_options: bool | None = None
    responses: bool | None = None  # it has OpenAI's Responses API; otherwise that becomes chat completions


class SensitiveData(Section):
    """What is done about secrets and personal data in requests. In `models` and `auth.keys`: instead."""

    policy: SensitivePolicy | None = None  # default: flag; in an override, the one that holds otherwise
    kinds: SensitiveKinds | None = None  # that are redacted or blocked; default: all


class Model(Section):
    """An alias: the name that clients use → a provider's model."""

    provider: str
    model: str | None = None  # default: the alias itself
    fallbacks: tuple[str, ...] = ()  # models, by alias or name: tried in order when this one fails
    measure_non_streaming: bool | None = None
    sensitive_data: SensitiveData | None = None


class Budget(Section):
    """What a client key may spend in a UTC day or month: USD or tokens."""

    usd: Annotated[float | None, Field(gt=0)] = None
    tokens: Annotated[int | None, Field(ge=1)] = None
    per: Literal["day", "month"]

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if (self.usd is None) == (self.tokens is None):
            raise ValueError("a budget is of usd or of tokens; for both, write two budgets")
        return self


class Key(Section):
    """A client's key, and what it may do. Its name is the user in the records."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    key: Annotated[HashedKey | None, Field(repr=False)] = None
    key_sha256: Annotated[Sha256 | None, Field(repr=False)] = None  # instead of the key itself
    enabled: bool = True
    expires: Moment | None = None
    models: tuple[str, ...] = ()  # as clients call them, * for any text; none: all
    passthrough: bool = False  # also other than inference endpoints, with the providers' shared keys
    budgets: tuple[Budget, ...] = ()
    requests_per_minute: Annotated[int | None, Field(ge=1)] = None  # of one gateway process
    tokens_per_minute: Annotated[int | None, Field(ge=1)] = None
    concurrent_calls: Annotated[int | None, Field(ge=1)] = None  # of one gateway process
    sensitive_data: SensitiveData | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.key is None) == (self.key_sha256 is None):
            raise ValueError("set one of key and key_sha256; `lessllm client-key NAME` makes both")
        return self

    @property
    def is_spending(self) -> bool:
        """What it spends matters: it has a budget, or a limit of tokens."""
        return bool(self.budgets) or self.tokens_per_minute is not None

    def is_for(self, model: str) -> bool:
        """Whether this name is on its list of models, or it has none."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)

    @property
    def digest(self) -> bytes:
        """The key's SHA-256."""
        return bytes.fromhex(self.key or self.key_sha256 or "")


def _told_apart(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    if len({key.name for key in keys}) < len(keys):
        raise ValueError("two keys have the same name")
    if len({key.digest for key in keys}) < len(keys):
        raise ValueError("two names have the same key")
    return keys


Keys = Annotated[tuple[Key, ...], AfterValidator(_told_apart)]


class KeysFile(Section):
    """The content of auth.keys_file."""

    keys: Keys  # to be named even when there are none: a file is empty while it is written


class Auth(Section):
    """Who may call. Neither keys nor a file of them: everybody who reaches the port."""

    keys: Keys = ()
    keys_file: Path | None = None  # more keys, read again when it changes
    allow_anybody: bool = (
        False  # beyond this machine, with the providers' keys: when there are no client keys
    )

    @property
    def asks_for_keys(self) -> bool:
        """A file that holds no key lets nobody in."""
        return bool(self.keys) or self.keys_file is not None


class Gateway(Section):
    """The gateway's own settings."""

    host: str = "127.0.0.1"
    port: Port = 8000
    allowed_hosts: tuple[str, ...] = ()  # besides loopback names
    default_provider: str = "openai"
    max_request_bytes: Annotated[int, Field(ge=1024)] = 50 * 1024 * 1024
    measure_non_streaming: bool = True
    drop_params: bool = False  # when formats cross: what can't be kept is left out, instead of refused
    stop_s: Annotated[int, Field(ge=1, le=3600)] = 20  # for calls under way; then 5 s more for their records
    record_buffer_bytes: Annotated[int, Field(ge=1024 * 1024)] = 256 * 1024 * 1024


class Query(Section):
    """Limits on a user's SQL."""

    timeout_s: Seconds = 30
    max_rows: Annotated[int, Field(ge=1)] = 100_000
    memory_limit: Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?\s?(MB|GB|MiB|GiB)$")] = (
        "4GiB"  # a bound, not a reservation: DuckDB unpacks 2,048 bodies at once, however large
    )
    threads: Annotated[int, Field(ge=1)] = 2


class Curve(Section):
    """Keys for what gateways send to the collector. Each side needs its secret and the other's public key."""

    collector_public_key: CurveKey | None = None
    collector_secret_key: CurveKey | None = None
    gateway_public_key: CurveKey | None = None  # all gateways have the same pair
    gateway_secret_key: CurveKey | None = None


class Collector(Section):
    """The collector: where it listens, and where gateways find it."""

    host: str = "127.0.0.1"
    port: Port = 8001
    endpoint: str = "tcp://127.0.0.1:5555"
    curve: Curve = Curve()
    allow_plaintext: bool = False  # beyond this machine, where there are no keys
    allowed_hosts: tuple[str, ...] = ()
    api_key: Secret | None = None
    allow_anybody: bool = False  # beyond this machine, where there is no api_key
    query: Query = Query()

    @field_validator("endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        if not value.startswith(("tcp://", "ipc://")):
            raise ValueError("must start with tcp:// or ipc://")
        return value


class Retention(Section):
    """How long what is recorded stays in the database, by the time of the call."""

    bodies: Duration = timedelta(days=30)
    calls: Duration = timedelta(days=365)


class Logging(Section):
    """What is recorded, and where."""

    enabled: bool = True
    storage: Literal["duckdb"] = "duckdb"
    db_path: Path = Path("lessllm.duckdb")
    max_body_bytes: Annotated[int, Field(ge=0)] = 50 * 1024 * 1024
    bodies: Literal["full", "errors", "none"] = "full"  # kept by the collector, once it has read them
    retention: Retention = Retention()
    spool: Literal["overflow", "always", "off"] = "overflow"
    spool_dir: Path | None = None  # default: db_path + ".spool"
    spool_bytes: Annotated[int, Field(ge=1024 * 1024)] = 4 * 1024 * 1024 * 1024  # of one gateway process
    debug_mode: bool = False
    enable_cache_analysis: bool = True


class Cache(Section):
    """What can't be told from calls about the providers' prompt caches."""

    providers: dict[str, Caches] = {}  # by provider: the known one whose rules it follows
    workspaces: dict[str, str] = {}  # by key_fingerprint: a name; keys of one name share their caches
    max_prefixes: Annotated[int, Field(ge=1000)] = 250_000  # known at a time, about 270 bytes each


class Price(Section):
    """A model's own price, in USD per million tokens.

    Unset cache prices are those of fresh input; of writes for 1 hour, that of other writes.
    """

    input_usd_per_mtok: UsdPerMtok
    output_usd_per_mtok: UsdPerMtok
    cache_read_usd_per_mtok: UsdPerMtok | None = None
    cache_write_usd_per_mtok: UsdPerMtok | None = None
    cache_write_1h_usd_per_mtok: UsdPerMtok | None = None


class Server(Section):
    """For `import lessllm`: running services to attach to, instead of starting some."""

    url: HttpUrl
    collector_url: HttpUrl
