"""Reading TOML files: presets, grids, variants, and what the user writes."""

from __future__ import annotations

import tomllib
from pathlib import Path

from textbench.contracts.errors import UserError
from textbench.contracts.plain import Json, JsonObject


def read_toml(path: Path) -> JsonObject:
    """Read a TOML file; dates are text, as in ``--set``.

    Raises:
        UserError: When it cannot be read or parsed; names the file and the line.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Notepad's mark is none of it
        return {key: _plain(value) for key, value in data.items()}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None
    except ValueError:
        raise UserError(f"{path} holds a whole number of thousands of digits") from None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply") from None


def _plain(value: object) -> Json:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)
