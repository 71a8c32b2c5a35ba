"""JSON schemas of final answers: checked before a turn begins, and kept to when it is over.

`jsonschema` does both; it is imported when a schema is used. Nothing is fetched: a reference leads
into the schema itself, or nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runner.errors import ConfigError


def check_schema(schema: Mapping[str, object]) -> None:
    """See whether a schema can be used.

    Raises:
        ConfigError: it cannot.
    """
    if not isinstance(schema, Mapping):
        raise ConfigError(f"a schema is a mapping, not {type(schema).__name__}")
    import jsonschema  # noqa: PLC0415 - costs 60 ms, and few need it

    if not isinstance(schema.get("$schema", ""), str):
        raise ConfigError(f"the schema is none: $schema: {schema['$schema']!r} is no text")
    try:
        json.dumps(schema, allow_nan=False)
        validator = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
        validator.check_schema(dict(schema))
    except (TypeError, ValueError, RecursionError) as exc:
        raise ConfigError(f"the schema is no JSON: {exc}") from None
    except jsonschema.SchemaError as exc:
        raise ConfigError(f"the schema is none: {exc.json_path}: {exc.message}") from None


def keep_to(schema: Mapping[str, object], value: object, message: str) -> tuple[object, str]:
    """What an answer comes to by its schema: its value, and what is wrong with it.

    Args:
        schema: a checked one.
        value: what the program itself made of the answer; None = nothing.
        message: the answer as text, which counts then.
    """
    import jsonschema  # noqa: PLC0415
    import referencing  # noqa: PLC0415

    if value is None:
        try:
            value = json.loads(message, parse_constant=_refuse)
        except (ValueError, RecursionError) as exc:
            return None, f"the answer is no JSON, as its schema wants it: {exc}"
    cls: Any = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        checker = cls(schema, registry=referencing.Registry())
        error = jsonschema.exceptions.best_match(checker.iter_errors(value))
    except (referencing.exceptions.Unresolvable, RecursionError, ArithmeticError) as exc:
        return value, f"the answer cannot be checked by its schema: {exc}"
    if error is not None:
        return (
            value,
            f"the answer is not as its schema wants it: {error.json_path}: {error.message}",
        )
    return value, ""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
