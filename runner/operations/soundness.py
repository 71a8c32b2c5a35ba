"""Whether a message is what its annotations say: asked once, at the door, before anything is done.

Whoever takes messages from callers (`Backend.ask`, `Scope.ask`, a batch that collects them) has
them looked at here; whoever carries them out may rely on their types and on counts being counts.
The rules are the annotations of the records in `runner.messages`, `Count` and `Seconds` included;
what they mean is in the tables here. A default is sound by itself, so most fields cost one look.

What is not looked at: whether a path can exist, a pattern be compiled, bytes be text. Pure.
"""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs

from runner.errors import InvalidArgument
from runner.messages import Message, Operation
from runner.messages.message import COUNTS, LARGEST
from runner.operations.op_names import op_name, subject_of

_LONGEST = 80  # characters of a value in an error
_OPERATIONS = frozenset(get_args(Operation))


@attrs.frozen
class _Kind:
    """What a field may hold.

    Attributes:
        words: for "it must be …".
        takes: whether a value is such.
        exact: whatever is of just this type is; None = each value has to be looked at.
    """

    words: str
    takes: Callable[[Any], bool]
    exact: type | None = None


@attrs.frozen
class _Field:
    name: str
    default: object
    kind: _Kind


def require_sound(message: Message[Any], scope: str) -> None:
    """Raise InvalidArgument for a message with a value that its record does not allow."""
    fields = _FIELDS.get(type(message))
    if fields is None:
        fields = _FIELDS[type(message)] = _fields_of(message, scope)
    field = _unsound(message, fields)
    if field is not None:
        value = getattr(message, field.name)
        raise InvalidArgument(
            op_name(type(message)),
            subject_of(message),
            f"{field.name} is {shown(value)}: it must be {field.kind.words}",
            scope=scope,
            hint=_hint(value),
        )


def _unsound(record: object, fields: tuple[_Field, ...]) -> _Field | None:
    """The first field whose value is none of its kind."""
    for field in fields:
        value, kind = getattr(record, field.name), field.kind
        if value is not field.default and type(value) is not kind.exact and not kind.takes(value):
            return field
    return None


def shown(value: object) -> str:
    """A value for an error, however large."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - somebody else's `__repr__`
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _hint(value: object) -> str:
    if isinstance(value, os.PathLike):
        return "give str(path)"
    if isinstance(value, bytearray | memoryview):
        return "give bytes(…) of it"
    return "nothing has been done: give a value of that kind"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_whole(value) and value >= 0


def _is_time(value: object) -> bool:
    # NaN is not more than 0, and not less; and there are whole numbers that no float can hold.
    return (isinstance(value, float) and value >= 0) or _is_count(value)


_KINDS: dict[object, _Kind] = {
    str: _Kind("text", lambda value: isinstance(value, str), str),
    bytes: _Kind("bytes", lambda value: isinstance(value, bytes), bytes),
    bool: _Kind("True or False", lambda value: isinstance(value, bool)),
    int: _Kind("a whole number", _is_whole),
    float: _Kind("seconds, 0 or more", _is_time),
    type(None): _Kind("None", lambda value: value is None),
    COUNTS: _Kind("a whole number, 0 or more", _is_count),
}


def _kind_of(annotation: Any) -> _Kind:
    known = _KINDS.get(annotation)
    if known is not None:
        return known
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _KINDS[inner[1]]
    if origin is Literal:
        return _Kind(
            " or ".join(map(repr, inner)),
            lambda value: isinstance(value, str) and value in inner,
        )
    if origin in {Union, types.UnionType}:
        return _one_of([_kind_of(each) for each in inner])
    if origin is tuple:
        return _tuple_of(inner)
    return _record(annotation)


def _one_of(kinds: list[_Kind]) -> _Kind:
    words = list(dict.fromkeys(each.words for each in kinds))

    def takes(value: object) -> bool:
        for each in kinds:  # noqa: SIM110 - a hundred of a batch come by here
            if each.takes(value):
                return True
        return False

    return _Kind(" or ".join(words), takes)


def _tuple_of(inner: tuple[Any, ...]) -> _Kind:
    kinds = [_kind_of(each) for each in inner if each is not Ellipsis]
    if inner[-1] is Ellipsis:
        (kind,) = kinds
        return _Kind(
            f"a list, each of it {kind.words}",
            lambda value: isinstance(value, tuple) and all(map(kind.takes, value)),
        )
    exact = tuple([each.exact for each in kinds])

    def takes(value: object) -> bool:
        if not isinstance(value, tuple) or len(value) != len(kinds):
            return False
        return tuple(map(type, value)) == exact or all(
            kind.takes(each) for kind, each in zip(kinds, value, strict=True)
        )

    return _Kind(f"({', '.join(each.words for each in kinds)})", takes)


def _record(kind: type) -> _Kind:
    """A record with fields of its own; they are looked at when the first is met."""

    def takes(value: object) -> bool:
        return isinstance(value, kind) and _unsound(value, _known(kind)) is None

    return _Kind(f"a {kind.__name__} with values as its own description has them", takes)


_FIELDS: dict[type, tuple[_Field, ...]] = {}


def _known(kind: type) -> tuple[_Field, ...]:
    if kind not in _FIELDS:
        hints = typing.get_type_hints(kind, include_extras=True)
        _FIELDS[kind] = tuple(
            [
                _Field(each.name, each.default, _kind_of(hints[each.name]))
                for each in attrs.fields(kind)
            ]
        )
    return _FIELDS[kind]


def _fields_of(message: object, scope: str) -> tuple[_Field, ...]:
    if not isinstance(message, Message):
        reason = f"{shown(message)} is no message"
        raise InvalidArgument("ask", None, reason, scope=scope, hint="see runner.messages")
    # Somebody's own message is that somebody's business.
    return _known(type(message)) if type(message) in _OPERATIONS else ()
