"""What a mode is made of, in the words of results and of `runner doctor`."""

from __future__ import annotations

from typing import Literal

from runner.messages.isolation import Isolation, ModeInForce
from runner.processes.isolation import landlock
from runner.processes.isolation.users import choose_user


def layers_of(
    mode: ModeInForce, isolation: Isolation, scope: str, *, program: str = ""
) -> tuple[str, ...]:
    """What a mode is made of, here.

    Args:
        mode: in force.
        isolation: what is asked for.
        scope: the directory.
        program: the bwrap program that makes it; "" = we do.
    """
    if mode == "none":
        return ()
    layers: list[str] = []
    if mode == "bwrap":
        user = choose_user(scope)
        who = "user namespace" if user.kind == "own" else f"uid {user.uid}"
        layers += [f"made by {program}"] if program else []
        layers += [who, "mount, PID, IPC, UTS and cgroup namespaces", "lifeline in pid 1"]
        layers += [] if isolation.network == "full" else ["network namespace"]
        layers += ["idmapped scope"] if user.mapped else []
    layers += ["no new privileges", "seccomp"]
    if landlock.abi() and not (mode == "bwrap" and isolation.nesting):
        layers.append(f"Landlock ABI {landlock.abi()}")
    return tuple(layers)


def network_of(mode: ModeInForce, isolation: Isolation) -> Literal["none", "full", "proxy"]:
    """Which network there is."""
    if mode == "none" or isolation.network == "full":
        return "full"
    return "proxy" if mode == "bwrap" and isolation.network != "none" else "none"
