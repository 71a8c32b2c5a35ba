"""Plain values (what TOML or JSON gives) into records, strictly, with all mistakes at once.

Nothing is coerced: a number is no text, text is no list. Annotations say more than types: `Seconds`
takes numbers and texts such as "90s", "5m", "1.5h"; `Annotated[int, AtLeast(1)]` has a lower bound.
Of several records in a union, the one is taken whose tag (the field that is a `Literal` of one
word, such as `kind`) the table gives. A rule about several fields is a `ValueError` that the
record's `__attrs_post_init__` raises.

cattrs makes the records; lax as it is by default, every hook that reads a value is replaced here
before its first use, and its tree of errors is turned into a flat list. The same annotations make
the JSON Schemas (`runner.schemas`). No I/O.
"""

from __future__ import annotations

import difflib
import math
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn

from runner.errors import ConfigError
from runner.toml_lines import KeyPath

RecordT = TypeVar("RecordT")
Hook: TypeAlias = Callable[[Any, Any], Any]  # cattrs': a value and the type that it is to have

SECONDS = "seconds"
SECONDS_PATTERN = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
Seconds: TypeAlias = Annotated[float, SECONDS]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@attrs.frozen
class AtLeast:
    """A lower bound, for `Annotated`."""

    bound: int


class Mistakes(Exception):
    """What is wrong in a value: (key, sentence) for each mistake."""

    def __init__(self, mistakes: Iterable[tuple[KeyPath, str]]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(self.mistakes)


def structure_value(value: object, cls: type[RecordT]) -> RecordT:
    """Make a record (or any annotated type) of plain values.

    Raises:
        Mistakes: all of them.
    """
    try:
        return _converter.structure(value, cls)
    except Exception as exc:
        raise Mistakes(_flat(exc, ())) from exc


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint to append to a sentence: the near misses, or else all that is known."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    if near:
        return f"; did you mean {' or '.join(repr(each) for each in near)}?"
    return f"; there are {', '.join(known)}" if 0 < len(known) <= 20 else ""


def kind_of(value: object) -> str:
    """What a plain value is, in the users' words."""
    words: tuple[tuple[type | types.UnionType, str], ...] = (
        (bool, "true or false"),
        (str, "a text"),
        (int, "a whole number"),
        (float, "a number"),
        (list | tuple, "a list"),
        (dict, "a table"),
        (date | time, "a date or time"),
        (type(None), "None"),
    )
    name = type(value).__name__
    return next((word for type_, word in words if isinstance(value, type_)), f"a value of {name}")


def parse_seconds(value: object) -> float:
    """A duration: a number of seconds, or a text such as "90s", "5m", "1.5h", "500ms".

    Raises:
        ValueError: it is none, or negative, or not finite.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if _is_finite(value) else math.inf
    elif isinstance(value, str) and (found := re.fullmatch(SECONDS_PATTERN, value)):
        seconds = float(found[1]) * _UNITS[found[2]]
    else:
        raise _must('be a number of seconds or a text such as "90s" or "5m"', value)
    if not 0 <= seconds < math.inf:
        raise _must("be 0 seconds or more", value)
    return seconds


def _must(what: str, value: object) -> ValueError:
    """The sentence that says what must be and what is; long values are not repeated."""
    shown = repr(value)
    if not isinstance(value, str | int | float) or len(shown) > 40:
        shown = kind_of(value)
    elif isinstance(value, bool):
        shown = shown.lower()
    return ValueError(f"must {what}, not {shown}")


# ---------------------------------------------------------------- the tree of errors, flat


def _flat(exc: BaseException, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    match exc:
        case Mistakes():
            yield from (((*path, *inner), what) for inner, what in exc.mistakes)
        case ClassValidationError():
            noted, others = exc.group_exceptions()
            for inner, note in noted:
                if isinstance(inner, KeyError):  # cattrs reads the table's keys without a default
                    yield (*path, note.name), "is missing, and has no default"
                else:
                    yield from _flat(inner, (*path, note.name))
            for inner in others:
                yield from _flat(inner, path)
        case ForbiddenExtraKeysError():
            known = [field.name for field in attrs.fields(exc.cl)]
            for name in sorted(exc.extra_fields):
                yield (*path, name), f"there is no such key{did_you_mean(name, known)}"
        case ValueError() | ConfigError():
            yield path, str(exc)
        case _:
            raise exc


# ---------------------------------------------------------------- hooks


def _plain(type_: type, word: str) -> Hook:
    def structure(value: object, _: object) -> object:
        if type(value) is not type_:
            raise _must(f"be {word}", value)
        return value

    return structure


def _float(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise _must("be a number", value)
    return float(value)


def _is_finite(value: float) -> bool:
    """Also for whole numbers, which TOML does not bound, and floats do."""
    return abs(value) <= sys.float_info.max


def _literal(type_: Any) -> Hook:
    allowed = get_args(type_)

    def structure(value: object, _: object) -> object:
        if not any(value == each and type(value) is type(each) for each in allowed):
            words = ", ".join(repr(each) for each in allowed)
            one = "be" if len(allowed) == 1 else "be one of"
            raise _must(f"{one} {words}", value)
        return value

    return structure


def _annotated(type_: Any) -> Hook:
    base, *notes = get_args(type_)
    if SECONDS in notes:
        return lambda value, _: parse_seconds(value)
    hook = _converter.get_structure_hook(base)
    bounds = [note.bound for note in notes if isinstance(note, AtLeast)]

    def structure(value: object, _: object) -> object:
        result = hook(value, base)
        for bound in bounds:
            if result < bound:
                raise _must(f"be {bound} or more", value)
        return result

    return structure


def _tuple(type_: Any) -> Hook:
    inner = get_args(type_)[0]  # only `tuple[X, ...]`: what a TOML list is
    hook = _converter.get_structure_hook(inner)

    def structure(value: object, _: object) -> object:
        if not isinstance(value, list):
            raise _must("be a list", value)
        return tuple(_each(enumerate(value), hook, inner).values())

    return structure


def _dict(type_: Any) -> Hook:
    inner = get_args(type_)[1]  # keys are text in TOML and JSON
    hook = _converter.get_structure_hook(inner)

    def structure(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise _must("be a table", value)
        for name in value:
            if not isinstance(name, str):
                raise _must("have texts as keys", name)
        return _each(value.items(), hook, inner)

    return structure


def _each(items: Iterable[tuple[Any, object]], hook: Hook, type_: Any) -> dict[Any, object]:
    """Structure all items before any mistake is raised."""
    done: dict[Any, object] = {}
    mistakes: list[tuple[KeyPath, str]] = []
    for name, item in items:
        try:
            done[name] = hook(item, type_)
        except Exception as exc:  # noqa: BLE001  # a tree of many kinds; bugs are raised by _flat
            mistakes += _flat(exc, (name,))
    if mistakes:
        raise Mistakes(mistakes)
    return done


def _record(cls: Any) -> Hook:
    make = make_dict_structure_fn(
        cls, _converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True
    )

    def structure(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise _must("be a table", value)
        return make(value, cls)

    return structure


def _union(type_: Any) -> Hook:
    members = [member for member in get_args(type_) if member is not type(None)]
    records = {tag_of(member): member for member in members if attrs.has(member)}
    others = [member for member in members if not attrs.has(member)]

    def structure(value: object, _: object) -> object:
        if isinstance(value, dict) and records:
            member = _by_tag(value, records)
        else:
            takers = [member for member in others if isinstance(value, _takes(member))]
            if not takers:
                words = [_word(member) for member in others] + ["a table"] * bool(records)
                raise _must(f"be {' or '.join(words)}", value)
            member = takers[0]
        return _converter.get_structure_hook(member)(value, member)

    return structure


def _by_tag(value: Mapping[str, object], records: Mapping[tuple[str, str], Any]) -> Any:
    if len(records) == 1:
        return next(iter(records.values()))
    name = next(iter(records))[0]
    tags = [tag for _, tag in records]
    if name not in value:
        raise Mistakes([((name,), f"is missing: one of {', '.join(map(repr, tags))}")])
    tag = value[name]
    if not isinstance(tag, str):
        raise Mistakes([((name,), str(_must("be a text", tag)))])
    if (name, tag) not in records:
        raise Mistakes([((name,), f"{tag!r} is no {name}{did_you_mean(tag, tags)}")])
    return records[name, tag]


def tag_of(cls: type) -> tuple[str, str]:
    """The name and the value of the field that tells a record from the others of its union."""
    attrs.resolve_types(cls)
    for field in attrs.fields(cls):
        if get_origin(field.type) is Literal and len(get_args(field.type)) == 1:
            return field.name, get_args(field.type)[0]
    return "", cls.__name__


def _takes(type_: Any) -> tuple[type, ...]:
    """The plain values that a member of a union is tried with."""
    origin = get_origin(type_)
    if origin is Annotated:
        base, *notes = get_args(type_)
        return (*_takes(base), str) if SECONDS in notes else _takes(base)
    if origin is Literal:
        return tuple({type(each) for each in get_args(type_)})
    if origin in (tuple, dict):
        return (list,) if origin is tuple else (dict,)
    return (int, float) if type_ is float else (type_,)


def _word(type_: Any) -> str:
    empty = {str: "", bool: False, int: 0, float: 0.0, list: [], dict: {}}
    return kind_of(empty[_takes(type_)[-1]])


def _origin(type_: Any) -> Any:
    return get_origin(type_)


_converter = Converter(detailed_validation=True, forbid_extra_keys=True)
_converter.register_structure_hook(str, _plain(str, "a text"))
_converter.register_structure_hook(int, _plain(int, "a whole number"))
_converter.register_structure_hook(bool, _plain(bool, "true or false"))
_converter.register_structure_hook(float, _float)
for _predicate, _factory in (
    (attrs.has, _record),
    (lambda type_: type_ is object, lambda _: lambda value, _: value),
    (lambda type_: _origin(type_) is Literal, _literal),
    (lambda type_: _origin(type_) is tuple, _tuple),
    (lambda type_: _origin(type_) is dict, _dict),
    (lambda type_: _origin(type_) in (Union, types.UnionType), _union),
    (lambda type_: _origin(type_) is Annotated, _annotated),
):
    _converter.register_structure_hook_factory(_predicate, _factory)
