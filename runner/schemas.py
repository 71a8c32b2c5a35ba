"""JSON Schemas of the records that users write as TOML, made from their annotations and docstrings.

The same annotations that `runner.strict` reads: what a schema allows, the loader takes, but for the
rules about several fields, which only the loader knows. Descriptions are the `Attributes:` of the
records' docstrings. No I/O.
"""

from __future__ import annotations

import inspect
import re
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs

from runner.strict import SECONDS, SECONDS_PATTERN, AtLeast, tag_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PLAIN: dict[object, dict[str, object]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
    object: {},
}


def json_schema(cls: type) -> dict[str, object]:
    """The JSON Schema of the files that hold such a record (or one of a union of records)."""
    name = getattr(cls, "__name__", "") if attrs.has(cls) else ""
    title = {"title": name} if name else {}
    return {"$schema": DIALECT, **title, **_schema(cls)}


def attribute_docs(cls: type) -> dict[str, str]:
    """What a record's docstring says of each attribute, on one line each."""
    _, _, section = inspect.cleandoc(cls.__doc__ or "").partition("\nAttributes:\n")
    found = re.finditer(r"^    (\w+): (.*(?:\n {8,}.*)*)", section, re.MULTILINE)
    return {each[1]: " ".join(each[2].split()) for each in found}


def _schema(type_: Any) -> dict[str, object]:
    if type_ in _PLAIN:
        return dict(_PLAIN[type_])
    if attrs.has(type_):
        return _record(type_)
    args = get_args(type_)
    match get_origin(type_):
        case origin if origin is Literal:
            schema: dict[str, object] = {"const": args[0]} if len(args) == 1 else {"enum": [*args]}
        case origin if origin is tuple:
            schema = {"type": "array", "items": _schema(args[0])}
        case origin if origin is dict:
            schema = {"type": "object", "additionalProperties": _schema(args[1])}
        case origin if origin in (Union, types.UnionType):
            schema = _union([member for member in args if member is not type(None)])
        case origin if origin is Annotated:
            schema = _annotated(args[0], args[1:])
        case _:
            raise TypeError(f"no JSON Schema for {type_!r}")
    return schema


def _union(members: list[Any]) -> dict[str, object]:
    schemas = [_schema(member) for member in members]
    if sum(attrs.has(member) for member in members) > 1:  # then the tag tells them apart
        for member, schema in zip(members, schemas, strict=True):
            if attrs.has(member):
                schema["required"] = sorted({*_required(member), tag_of(member)[0]})
    return {"anyOf": schemas}


def _annotated(base: Any, notes: tuple[object, ...]) -> dict[str, object]:
    if SECONDS in notes:
        text = {"type": "string", "pattern": f"^{SECONDS_PATTERN}$"}
        return {"anyOf": [{"type": "number", "minimum": 0}, text]}
    schema = _schema(base)
    for note in notes:
        if isinstance(note, AtLeast):
            schema["minimum"] = note.bound
    return schema


def _record(cls: Any) -> dict[str, object]:
    attrs.resolve_types(cls)
    docs = attribute_docs(cls)
    properties: dict[str, dict[str, object]] = {}
    for field in attrs.fields(cls):
        properties[field.name] = {**_schema(field.type), **_default(field)}
        if field.name in docs:
            properties[field.name]["description"] = docs[field.name]
    return {
        "type": "object",
        "description": inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " "),
        "properties": properties,
        "required": _required(cls),
        "additionalProperties": False,
    }


def _required(cls: Any) -> list[str]:
    return [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING]


def _default(field: attrs.Attribute[Any]) -> dict[str, object]:
    """The default as JSON has it, if it has it."""
    value = field.default
    if isinstance(value, tuple):
        return {"default": list(value)}
    return {"default": value} if isinstance(value, str | int | float | bool) else {}
