r"""A shell lexer: the simple commands of a command line, also those in substitutions. Pure.

Model. A line is read once from left to right with a stack of frames: code, the inside of double
quotes, `${…}`, `$((…))`. Quotes, escapes, comments, here-documents, operators, subshells, `$(…)`,
backquotes and `<(…)` are understood as POSIX sh and bash read them; control words (`if`, `do`, `{`)
are put aside. What comes out is a flat list of `Simple` commands.

It never fails: what no shell would take is read as something. It is linear: each step takes at
least one character, and a `Budget` of steps and characters bounds what is looked at in all, since
scripts in scripts (`sh -c`, here-documents) are read again. `TooIntricate` is raised beyond it.

What it does not do: expand anything, know aliases or functions, or say what a command does.

Why of our own: bashlex is under the GPL and needs 60 µs for a word; tree-sitter-bash needed 47 s
for 100,000 characters of `|` and a second for a megabyte of plain words.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from runner.scopes.shell.tokens import (
    ASSIGNMENT,
    CONTROL,
    IN_QUOTES,
    IN_SINGLE_QUOTES,
    TOKENS,
    Mode,
    without_magic,
)
from runner.scopes.shell.words import Budget, Script, Simple, Word

MAKING = 20  # steps that take as long as making a regular expression


@attrs.define(eq=False)
class _Building:
    """A command that is being read."""

    piped: bool = False
    pipeline: int = 0
    words: list[Word] = attrs.field(factory=list)
    redirects: list[tuple[str, Word]] = attrs.field(factory=list)
    bodies: list[str] = attrs.field(factory=list)
    substituted: list[str] = attrs.field(factory=list)
    operator: str = ""  # a redirection that waits for its word
    text: list[str] | None = None
    shape: list[str] = attrs.field(factory=list)
    quotes: int = 0
    first: int = 0  # commands of the script when the word began


@attrs.define(eq=False)
class _Frame:
    mode: Mode
    closer: str
    building: _Building


@attrs.frozen
class _Here:
    delimiter: str
    quoted: bool
    tabs: bool
    bodies: list[str]
    substituted: list[str]


def read_script(text: str, script: Script, budget: Budget, *, mode: Mode = "code") -> None:
    """Read a text, and the substitutions in its here-documents, into a script.

    Raises:
        TooIntricate: the budget is spent.
    """
    todo: list[tuple[str, Mode]] = [(text, mode)]
    while todo:
        each, how = todo.pop()
        budget.take(each)
        _Reader(each, script, budget, how).read(todo)


class _Reader:
    def __init__(self, text: str, script: Script, budget: Budget, mode: Mode) -> None:
        self._text = text
        self._at = 0
        self._script = script
        self._budget = budget
        self._mode: Mode = mode
        self._closer = ""
        self._frames: list[_Frame] = []
        self._ticks = 0
        self._now = _Building(pipeline=len(script.commands))
        self._here: list[_Here] = []

    def read(self, todo: list[tuple[str, Mode]]) -> None:
        """Read to the end; what is to be read after it goes to `todo`."""
        text, end, step = self._text, len(self._text), self._budget.step
        while self._at < end:
            step()
            token = TOKENS[self._mode].match(text, self._at)
            assert token is not None  # every character begins a token of its mode
            self._at = token.end()
            kind = token.lastgroup or ""
            if kind == "newline":
                self._end_word()  # which may be the name of a here-document
                if self._here:
                    self._at = token.start() + 1  # they begin right behind it
            _READ[kind](self, token.group())
            if self._here and (kind == "newline" or self._at == end):
                self._bodies(todo)
        while self._frames:
            self._leave()
        if self._mode != "here":  # the text of a here-document is no command
            self._finish()

    # ---------------------------------------------------------------- words

    def _add(self, text: str, shape: str | None = None, *, quoted: bool = False) -> None:
        now = self._now
        if now.text is None:
            now.text, now.shape, now.quotes = [], [], 0
            now.first = len(self._script.commands)
        now.text.append(text)
        now.shape.append(text if shape is None else shape)
        now.quotes += quoted

    def _end_word(self) -> None:
        now = self._now
        if now.text is None:
            return
        joined = now.quotes > 0 and len(now.text) > 1
        inner = (now.first, len(self._script.commands))
        word = Word("".join(now.text), "".join(now.shape), joined, inner)
        quoted, now.text = now.quotes > 0, None
        if now.operator in {"<<", "<<-"}:
            tabs = now.operator == "<<-"
            self._here.append(_Here(word.text, quoted, tabs, now.bodies, now.substituted))
        elif now.operator == "<<<":
            now.bodies.append(word.text)
            if "$(…)" in word.shape:
                now.substituted.append(word.text)
        elif now.operator:
            now.redirects.append((now.operator, word))
        else:
            now.words.append(word)
        now.operator = ""

    def _finish(self, *, piped: bool = False) -> None:
        """The command ends; another begins."""
        self._end_word()
        now = self._now
        words = now.words
        start = 0
        while start < len(words) and words[start].text in CONTROL:
            start += 1
        named = start
        while named < len(words) and ASSIGNMENT.match(words[named].text):
            named += 1
        if len(words) > start or now.redirects:
            self._script.commands.append(
                Simple(
                    words=tuple(words[named:]),
                    piped=now.piped,
                    pipeline=now.pipeline,
                    redirects=tuple(now.redirects),
                    bodies=now.bodies,
                    substituted=now.substituted,
                    assignments=tuple(words[start:named]),
                )
            )
        pipeline = now.pipeline if piped else len(self._script.commands)
        self._now = _Building(piped=piped, pipeline=pipeline)

    # ---------------------------------------------------------------- frames

    def _enter(self, mode: Mode, closer: str = "") -> None:
        self._frames.append(_Frame(self._mode, self._closer, self._now))
        self._mode, self._closer = mode, closer
        if mode == "code":
            self._now = _Building(pipeline=len(self._script.commands))

    def _leave(self) -> None:
        if self._mode == "code":
            self._finish()
            self._ticks -= self._closer == "`"
        frame = self._frames.pop()
        self._mode, self._closer, self._now = frame.mode, frame.closer, frame.building

    def _bodies(self, todo: list[tuple[str, Mode]]) -> None:
        """The here-documents that begin with the line where we are."""
        for each in self._here:
            found, end = self._last_line(each)
            body = self._text[self._at : found]
            self._at = end
            self._budget.step()
            each.bodies.append(body)
            if not each.quoted and ("`" in body or "$(" in body):
                each.substituted.append(body)
                todo.append((body, "here"))
        self._here.clear()

    def _last_line(self, here: _Here) -> tuple[int, int]:
        """Where the line that ends a here-document begins, and what follows it."""
        text, at, delimiter = self._text, self._at, here.delimiter
        if here.tabs:
            self._budget.step(MAKING)
            line = re.compile(rf"^\t*{re.escape(delimiter)}$", re.MULTILINE).search(text, at)
            return (line.start(), min(line.end() + 1, len(text))) if line else (len(text),) * 2
        while True:
            if not text.startswith(delimiter, at):
                at = text.find("\n" + delimiter, at) + 1
                if not at:
                    return len(text), len(text)
            end = at + len(delimiter)
            if end == len(text) or text[end] == "\n":
                return at, min(end + 1, len(text))
            self._budget.step()  # it only begins so: there may be a million of these
            at = text.find("\n", end) + 1
            if not at:
                return len(text), len(text)

    # ---------------------------------------------------------------- one method for each token

    def on_blank(self, _: str) -> None:
        self._end_word()

    def on_words(self, text: str) -> None:
        words = text.split()
        self._budget.step(len(words) // 4)
        for each in words:
            self._add(each)
            self._end_word()

    def on_plain(self, text: str) -> None:
        self._add(text)

    def on_within(self, text: str) -> None:
        self._add(text, without_magic(text, IN_QUOTES), quoted=True)

    def on_newline(self, _: str) -> None:
        self._finish()

    def on_comment(self, _: str) -> None:
        if self._now.text is None:
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        else:
            self._add("#")  # in the middle of a word it is a character like any other

    def on_single(self, text: str) -> None:
        inner = text.lstrip("$")[1:].removesuffix("'")
        self._add(inner, without_magic(inner, IN_SINGLE_QUOTES), quoted=True)

    def on_double(self, _: str) -> None:
        self._add("", quoted=True)
        self._enter("quote", '"')

    def on_escape(self, text: str) -> None:
        if text == "\\\n":
            return
        if self._mode in {"quote", "here"} and text[1:] not in {"$", "`", '"', "\\"}:
            self._add(text, without_magic(text, IN_SINGLE_QUOTES), quoted=True)
        else:
            self._add(text[1:], without_magic(text[1:], IN_SINGLE_QUOTES), quoted=True)

    def on_subst(self, _: str) -> None:
        self._add("$(…)")
        self._enter("code", ")")

    def on_process(self, _: str) -> None:
        self._end_word()
        self.on_subst("")

    def on_tick(self, _: str) -> None:
        if self._ticks:
            while self._closer != "`":
                self._leave()
            self._leave()
        else:
            self._add("$(…)")
            self._enter("code", "`")
            self._ticks += 1

    def on_arith(self, _: str) -> None:
        self._add("$((…))")
        self._enter("arith", "))")

    def on_brace(self, _: str) -> None:
        self._add("${")
        self._enter("brace", "}")

    def on_dollar(self, _: str) -> None:
        self._add("$")

    def on_redirect(self, text: str) -> None:
        now = self._now
        if now.text is not None and not now.quotes and "".join(now.text).isdecimal():
            now.text = None  # the number of a descriptor
        self._end_word()
        now.operator = text

    def on_operator(self, text: str) -> None:
        self._finish(piped=text in {"|", "|&"})

    def on_defines(self, _: str) -> None:
        self._end_word()
        words = self._now.words
        if words:
            self._script.functions.add(words[-1].text)
        words.clear()

    def on_open(self, _: str) -> None:
        if self._mode == "arith":
            self._enter("arith", ")")
        else:
            self._enter("code", ")")

    def on_close(self, text: str) -> None:
        if self._mode == "arith":
            self._at -= len(text) - len(self._closer) if len(text) > len(self._closer) else 0
            self._leave()
        elif self._closer == ")":
            self._leave()
        else:
            self._finish()  # of a pattern in `case`, or nobody's

    def on_end(self, text: str) -> None:
        closer = self._closer
        self._leave()
        if closer == "}":
            self._add(text)


_READ: dict[str, Callable[[_Reader, str], None]] = {
    "blank": _Reader.on_blank,
    "words": _Reader.on_words,
    "plain": _Reader.on_plain,
    "text": _Reader.on_within,
    "newline": _Reader.on_newline,
    "comment": _Reader.on_comment,
    "single": _Reader.on_single,
    "double": _Reader.on_double,
    "escape": _Reader.on_escape,
    "process": _Reader.on_process,
    "heredoc": _Reader.on_redirect,
    "redirect": _Reader.on_redirect,
    "operator": _Reader.on_operator,
    "defines": _Reader.on_defines,
    "open": _Reader.on_open,
    "close": _Reader.on_close,
    "end": _Reader.on_end,
    "arith": _Reader.on_arith,
    "subst": _Reader.on_subst,
    "brace": _Reader.on_brace,
    "tick": _Reader.on_tick,
    "dollar": _Reader.on_dollar,
}
