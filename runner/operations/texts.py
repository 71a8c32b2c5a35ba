"""Text from bytes and bytes from text: whole, or cut anywhere. Sans-IO.

Every failure is a DecodeFailed that says which byte or character of the whole it is about.
"""

from __future__ import annotations

import codecs

from runner.errors import DecodeFailed
from runner.operations.soundness import shown


def codec_of(op: str, path: str | None, encoding: str, scope: str) -> codecs.CodecInfo:
    """The codec of a name.

    Raises:
        DecodeFailed: there is none that makes text.
    """
    try:
        found = codecs.lookup(encoding)
    except (LookupError, ValueError, TypeError):  # ValueError: a NUL or half a pair of surrogates
        found = None
    # By this very attribute `str.encode` itself knows which codecs are of text.
    if found is None or not getattr(found, "_is_text_encoding", True):
        reason, hint = f"there is no encoding {shown(encoding)}", 'such as "utf-8" or "latin-1"'
        raise DecodeFailed(op, path, reason, scope=scope, hint=hint)
    return found


class Decoding:
    """Text from bytes that are cut anywhere; an error says where in the whole it is."""

    def __init__(self, path: str, encoding: str, scope: str) -> None:
        """Begin at the first byte."""
        self._path, self._encoding, self._scope = path, encoding, scope
        maker = codec_of("open_stream", path, encoding, scope).incrementaldecoder
        if maker is None:
            raise _only_whole(path, encoding, scope)
        self._decoder = maker()
        self._seen = 0

    def decode(self, data: bytes) -> str:
        """The text of the next bytes; none = these were all."""
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeError as error:  # of "punycode" and the like it is no UnicodeDecodeError
            reason = f"not {self._encoding}: {error}"
            if isinstance(error, UnicodeDecodeError):
                # The decoder had kept the beginning of a character: it counts from there.
                at = self._seen - (len(error.object) - len(data)) + error.start
                reason = f"not {self._encoding}: byte 0x{error.object[error.start]:02x} at {at}"
            raise DecodeFailed(
                "receive",
                self._path,
                reason,
                scope=self._scope,
                hint="without an encoding the stream gives bytes",
            ) from None
        self._seen += len(data)
        return text


class Encoding:
    """Bytes from text; an error says which character of the whole it is."""

    def __init__(self, path: str, encoding: str, scope: str) -> None:
        """Begin at the first character."""
        self._path, self._encoding, self._scope = path, encoding, scope
        maker = codec_of("open_stream", path, encoding, scope).incrementalencoder
        if maker is None:
            raise _only_whole(path, encoding, scope)
        self._encoder = maker()
        self._seen = 0

    def encode(self, text: str, *, final: bool = False) -> bytes:
        """The bytes of the next characters."""
        try:
            data = self._encoder.encode(text, final=final)
        except UnicodeError as error:
            why = str(error)
            if isinstance(error, UnicodeEncodeError):
                why = f"character {self._seen + error.start}: {error.reason}"
            raise DecodeFailed(
                "send",
                self._path,
                f"not text for {self._encoding}: {why}",
                scope=self._scope,
                hint="without an encoding the stream takes bytes",
            ) from None
        self._seen += len(text)
        return data


def _only_whole(path: str, encoding: str, scope: str) -> DecodeFailed:
    reason, hint = f"{encoding!r} has no way to go piece by piece", "read() and write() take it"
    return DecodeFailed("open_stream", path, reason, scope=scope, hint=hint)
