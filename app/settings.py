"""One Settings object: environment variables with the prefix TOUCHSTONE_, secrets also from NAME_FILE."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

PREFIX = "TOUCHSTONE_"


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads the value of TOUCHSTONE_X from the file that TOUCHSTONE_X_FILE names, as container secrets want it."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        name = f"{PREFIX}{field_name.upper()}_FILE"
        if not (path := os.environ.get(name)):
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise SettingsError(f"{name}: {path} cannot be read ({error.strerror})") from error

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class Settings(BaseSettings):
    """Every setting of the web, the workers and the command line. The README's table names each one."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    data_dir: Path = Field(Path("data"), description="Folder of database, datasets, vectors, logs and queue")
    database_url: str = Field("", description="PostgreSQL or SQLite address; empty = SQLite in the data folder")
    broker_url: str = Field("", description="Redis address for Celery; empty = files in the data folder")
    host: str = Field("127.0.0.1", description="Address the web listens on")
    port: int = Field(8000, ge=1, le=65535, description="Port the web listens on")
    public_url: str = Field(
        "", description="Address people type, when a proxy stands in front; https turns on Secure cookies"
    )
    demo: bool = Field(True, description="Load the demo pack at the first start")
    upload_max_bytes: int = Field(2 * 1024**3, ge=1024, description="Largest upload, in bytes")
    upload_max_rows: int = Field(2_000_000, ge=1, description="Most rows of one file")
    upload_max_field_chars: int = Field(1_000_000, ge=1, description="Longest field, in characters")
    upload_memory_bytes: int = Field(2 * 1024**3, ge=256 * 1024**2, description="Memory of the validating process")
    upload_cpu_seconds: int = Field(600, ge=1, description="Processor time of the validating process")
    device: str = Field("auto", description="Where to encode: auto, cpu, cuda, cuda:1, mps")
    batch_tokens: int = Field(0, ge=0, description="Tokens a batch; 0 = chosen for the device")
    lease_seconds: float = Field(90, ge=2, description="How long a worker owns a run without a sign of life")
    heartbeat_seconds: float = Field(15, gt=0, description="How often a worker renews its lease")
    sweep_seconds: float = Field(20, gt=0, description="How often lost runs and messages are looked for")
    max_attempts: int = Field(3, ge=1, description="Attempts at a run whose worker keeps vanishing")
    session_idle_hours: float = Field(12, gt=0, description="A session ends after so many idle hours")
    session_days: float = Field(7, gt=0, description="A session ends after so many days at the latest")
    log_format: Literal["console", "json"] = Field("console", description="Log lines for people or for machines")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least important line to log")

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        return _checked_url(value, "postgresql://", "postgresql+psycopg://", "sqlite:///")

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, value: str) -> str:
        return _checked_url(value, "redis://", "rediss://")

    @model_validator(mode="after")
    def _lease_outlives_heartbeat(self) -> "Settings":
        if self.heartbeat_seconds > self.lease_seconds / 3:
            raise ValueError(
                f"{PREFIX}HEARTBEAT_SECONDS ({self.heartbeat_seconds:g}) must be at most a third of "
                f"{PREFIX}LEASE_SECONDS ({self.lease_seconds:g}), or workers lose what they work on"
            )
        return self

    @field_validator("public_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then secret files."""
        return init_settings, env_settings, _SecretFiles(settings_cls)

    @property
    def sqlalchemy_url(self) -> str:
        """The database address in effect."""
        return self.database_url or f"sqlite:///{self.data_dir / 'touchstone.db'}"

    @property
    def celery_broker_url(self) -> str:
        """The broker address in effect."""
        return self.broker_url or "filesystem://localhost"

    @property
    def broker_dir(self) -> Path:
        """Message files of the embedded broker."""
        return self.data_dir / "broker"

    @property
    def blobs_dir(self) -> Path:
        """Content-addressed files: uploads, canonical datasets, evidence."""
        return self.data_dir / "blobs"

    @property
    def vectors_dir(self) -> Path:
        """The vector store."""
        return self.data_dir / "vectors"

    @property
    def secure_cookies(self) -> bool:
        """Whether people reach us by HTTPS."""
        return self.public_url.startswith("https://")


def _checked_url(value: str, *beginnings: str) -> str:
    """An address of one of these kinds. The message must not repeat it: it may hold a password."""
    if value and not value.startswith(beginnings):
        raise ValueError(f"must begin with {' or '.join(beginnings)}")
    try:
        _ = urlsplit(value).port
    except ValueError as error:
        message = "its port is no number; in a password, write / as %2F, @ as %40, : as %3A, # as %23 and ? as %3F"
        raise ValueError(message) from error
    return value


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
