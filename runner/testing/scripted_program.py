"""The program of a ScriptedAgent: a real process that plays the steps that it is sent.

    python -I -S scripted_program.py CONVERSATION-FILE CONVERSATION new|resume

Lines of JSON in: `{"turn", "prompt", "steps": [...]}` and `{"interrupt": true}`; lines of JSON
out, each with an "event". The conversation file has one prompt a line; it is what makes the
program resumable. At the end of its input it finishes the turn and ends; one that stalls or hangs
does not, as a bad program would.

Only the standard library, and little of that: it starts in some 15 ms. It imports nothing of
runner, and does no more than it is told.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False  # importing typing would cost a third of the start
if TYPE_CHECKING:
    from typing import Any

STDIN = 0
MAX_OUTPUT = 1 << 20


def shell(command: str) -> tuple[str, list[str], dict[str, str]]:
    """What runs a command: program, arguments, environment."""
    return "/bin/sh", ["sh", "-c", command], dict(os.environ)


class Interrupted(Exception):
    """The turn is to end now."""


class Ended(Exception):
    """The turn has come to its end before its last step."""


class Inbox:
    """Standard input, message by message, in their order."""

    def __init__(self) -> None:
        self._open = True
        self._buffer = b""
        self._messages: list[dict[str, Any]] = []

    def next_turn(self) -> dict[str, Any] | None:
        """Wait for a turn; None = there will be no more."""
        while True:
            while self._messages:
                message = self._messages.pop(0)
                if "turn" in message:
                    return message
                # An interrupt that came after the end of its turn: nothing to do.
            if not self._open:
                return None
            self._select(None, [])

    def wait(self, timeout: float | None, *others: int) -> bool:
        """Wait during a turn, for another descriptor or the time; whether the descriptor is ready.

        Raises:
            Interrupted: that is what the input says.
        """
        self._raise_interrupt()
        ready = self._select(timeout, list(others))
        self._raise_interrupt()
        return ready

    def _select(self, timeout: float | None, others: list[int]) -> bool:
        watched = [STDIN, *others] if self._open else others
        ready = select.select(watched, [], [], timeout)[0]
        if STDIN in ready:
            data = os.read(STDIN, 1 << 16)
            self._open = bool(data)
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            self._messages += [json.loads(line) for line in lines]
        return ready not in ([], [STDIN])

    def _raise_interrupt(self) -> None:
        if any("interrupt" in message for message in self._messages):
            self._messages.clear()
            raise Interrupted


class Player:
    """Plays the steps of one turn."""

    def __init__(self, inbox: Inbox, prompts: list[str]) -> None:
        self.said: list[str] = []
        self.end: dict[str, object] = {"ok": True, "stop": "completed"}
        self._inbox = inbox
        self._prompts = prompts  # the last one is this turn's
        self._calls = 0

    def play(self, step: dict[str, Any]) -> None:
        """Play one step.

        Raises:
            Interrupted: by our input.
            Ended: the step was the turn's end.
        """
        self._inbox.wait(0)
        getattr(self, "_do_" + step["do"])(step)

    def _do_say(self, step: dict[str, Any]) -> None:
        self._say(step["text"])

    def _do_fill(self, step: dict[str, Any]) -> None:
        self._say("x" * step["size"])

    def _do_recall(self, step: dict[str, Any]) -> None:
        earlier = self._prompts[:-1]
        count = len(earlier) if step["count"] is None else step["count"]
        self._say("\n".join(earlier[max(len(earlier) - count, 0) :]) or "I remember nothing.")

    def _do_think(self, step: dict[str, Any]) -> None:
        emit("thinking", text=step["text"])

    def _do_write(self, step: dict[str, Any]) -> None:
        call = self._begin_call("write", {"path": step["path"], "content": step["content"]})
        try:
            os.makedirs(os.path.dirname(step["path"]) or ".", exist_ok=True)
            with open(step["path"], "w", encoding="utf-8", newline="") as file:
                file.write(step["content"])
        except OSError as error:
            emit("result", id=call, ok=False, text=str(error))
        else:
            emit("result", id=call, ok=True, text="")

    def _do_run(self, step: dict[str, Any]) -> None:
        call = self._begin_call("run", {"command": step["command"]})
        output, status = self._run(step["command"])
        emit("result", id=call, ok=status == 0, text=output)

    def _do_tool(self, step: dict[str, Any]) -> None:
        call = self._begin_call(step["name"], step["input"])
        emit("result", id=call, ok=True, text="")

    def _do_sleep(self, step: dict[str, Any]) -> None:
        end = time.monotonic() + step["seconds"]
        while (left := end - time.monotonic()) > 0:
            self._inbox.wait(left)

    def _do_count(self, step: dict[str, Any]) -> None:
        self.end["usage"] = step["usage"]
        emit("usage", usage=step["usage"])

    def _do_cost(self, step: dict[str, Any]) -> None:
        self.end["cost"] = step["usd"]

    def _do_stop(self, step: dict[str, Any]) -> None:
        self.end["stop"] = step["reason"]

    def _do_fail(self, step: dict[str, Any]) -> None:
        after = step["resets"] if step["retry_after"] is None else step["retry_after"]
        self._fail(step["error"], step["message"], retry_after=after)

    def _do_drop(self, _step: dict[str, Any]) -> None:
        self._say("This answer is going to be cut")
        self._fail("network", "the connection was cut")

    def _do_reset(self, _step: dict[str, Any]) -> None:
        self._fail("network", "the connection was reset")

    def _do_malformed(self, _step: dict[str, Any]) -> None:
        write(b"{this is not the protocol\n")
        self._fail("protocol", "the answer was not the protocol")

    def _do_stall(self, step: dict[str, Any]) -> None:
        self._say("This answer is not going to end")
        self._do_hang(step)

    def _do_hang(self, _step: dict[str, Any]) -> None:
        while True:
            self._inbox.wait(None)

    def _do_exit(self, step: dict[str, Any]) -> None:
        if step["code"] < 0:  # pragma: no cover - who is killed cannot say what it did
            os.kill(os.getpid(), -step["code"])
            signal.pause()  # until it has come
        os._exit(step["code"])

    def _do_spawn(self, step: dict[str, Any]) -> None:
        os.posix_spawn(
            *shell(step["command"]),
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)
            ],
        )

    def _do_stderr(self, step: dict[str, Any]) -> None:
        os.write(2, (step["text"] + "\n").encode())

    def _do_line(self, step: dict[str, Any]) -> None:
        write((step["text"] + "\n").encode())

    def _say(self, text: str) -> None:
        self.said.append(text)
        emit("text", text=text)

    def _fail(self, error: str, text: str, **more: object) -> None:
        self.end |= {"ok": False, "stop": "failed", "error": error, "error_text": text, **more}
        raise Ended

    def _begin_call(self, name: str, given: dict[str, Any]) -> str:
        self._calls += 1
        call = f"call-{len(self._prompts)}-{self._calls}"
        self.said.clear()  # the final message is what is said after the last call
        emit("call", id=call, name=name, input=given)
        return call

    def _run(self, command: str) -> tuple[str, int]:
        # A file in memory instead of a pipe: no end to wait for if a child of it lives on.
        output = os.memfd_create("output")
        pid = os.posix_spawn(
            *shell(command),
            setpgroup=0,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
        )
        ended = os.pidfd_open(pid)
        try:
            while not self._inbox.wait(None, ended):
                pass  # there was input, but no interrupt: its end
        except Interrupted:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        finally:
            text = os.pread(output, MAX_OUTPUT, 0).decode("utf-8", "replace")
            os.close(output)
            os.close(ended)
        return text, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def write(data: bytes) -> None:
    """Write to standard output, whole."""
    while data:
        data = data[os.write(1, data) :]


def emit(event: str, **fields: object) -> None:
    """Write an event."""
    write(json.dumps({"event": event, **fields}).encode() + b"\n")


def main() -> None:
    """Serve turns until the end of the input."""
    path, conversation, how = sys.argv[1:4]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    prompts: list[str] = []
    if how == "resume" or os.path.exists(path):
        try:
            with open(path, encoding="utf-8") as file:
                prompts = [json.loads(line) for line in file]
        except FileNotFoundError:
            sys.exit(f"No conversation found: {conversation}")
    inbox = Inbox()
    emit("ready", conversation=conversation, turns=len(prompts))
    while (message := inbox.next_turn()) is not None:
        prompts.append(message["prompt"])
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(message["prompt"]) + "\n")
        emit("turn", turn=message["turn"])
        player = Player(inbox, prompts)
        try:
            for step in message["steps"]:
                player.play(step)
        except Ended:
            pass
        except Interrupted:
            player.end |= {"ok": False, "stop": "interrupted", "error": "interrupted"}
        end = {"usage": message["usage"], **player.end}
        emit("end", turn=message["turn"], message="\n".join(player.said), **end)


if __name__ == "__main__":
    main()
