"""Secrets of connectors: named in the configuration, read from the environment or a file only when they are used.

What belongs here: the reference to a secret and the reading of it. What does not: the secret itself, for longer than
one call. Nothing here or in any connector puts a secret into a repr, a log line, the ledger or an exception's text.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator
from pydantic.functional_validators import AfterValidator
from pydantic_core.core_schema import ValidationInfo

from warehouse.errors import UsageError

_LONGEST: Final = 64 * 1024


def _beside_the_configuration(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else folder / path


# A path on this machine; a relative one counts from the folder of the configuration file.
LocalPath = Annotated[Path, Field(strict=False), AfterValidator(_beside_the_configuration)]


class SecretRef(BaseModel):
    """Where a secret is kept: the name of an environment variable, or a file that holds nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    file: LocalPath | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("env 与 file 必须且只能写一个")
        return self

    @property
    def place_zh(self) -> str:
        """Where people find it; says nothing of its value."""
        return f"环境变量 {self.env}" if self.env is not None else f"文件 {self.file}"


def read_secret(ref: SecretRef) -> SecretStr:
    """The secret, as a value that prints as asterisks. Raises UsageError naming the place when there is none.

    A file's trailing line break is not part of the secret. Line breaks and control characters inside one are refused:
    client libraries would quote such a value in their own error messages.
    """
    text = _from_env(ref) if ref.env is not None else _from_file(ref)
    if not text:
        raise UsageError(f"{ref.place_zh}中没有凭据。", "请设置后重试；凭据不要写进配置文件。")
    if not text.isprintable():
        raise UsageError(f"{ref.place_zh}中的凭据含有控制字符或换行。", "请检查其内容，只保留凭据本身。")
    return SecretStr(text)


def _from_env(ref: SecretRef) -> str:
    return os.environ.get(ref.env or "", "")


def _from_file(ref: SecretRef) -> str:
    path = ref.file or Path()
    try:
        with path.open("rb") as handle:
            raw = handle.read(_LONGEST)
        return raw.decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = "不是 UTF-8 文本" if isinstance(error, UnicodeDecodeError) else error.strerror
        # The decoder's error holds the bytes: it must not be chained.
        raise UsageError(f"凭据文件读不出：{path}（{reason}）。", "请检查路径与读取权限。") from None
