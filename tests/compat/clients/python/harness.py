"""Runs scenarios against a broker: `ok NAME SECONDS` or `fail NAME REASON`, one line each on stdout.

The names are the same for all clients; tests/compat/findings.md says which of them a client does not have.
Arguments: BOOTSTRAP [NAME...], where names choose scenarios.
"""

import asyncio
import inspect
import os
import sys
import time
import traceback

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
DEADLINE_S = 30.0

BOOTSTRAP = sys.argv[1]
_run = f"{int(time.time()) % 100000}-{os.getpid()}"
_scenarios = []


def scenario(name):
    def register(function):
        _scenarios.append((name, function))
        return function

    return register


def unique(name):
    """A name that no other run against this broker uses."""
    return f"{name}-{_run}"


def until(what, condition, step=None):
    """Polls until the condition gives something true, and answers that."""
    deadline = time.monotonic() + DEADLINE_S
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}"
        if step:
            step()
    return result


def eq(actual, expected, what=""):
    assert actual == expected, f"{what} is {actual!r}, expected {expected!r}"


def raises(names, call):
    """The call must fail with an error whose type or text holds one of the names."""
    try:
        call()
    except Exception as error:  # every client has its own hierarchy
        text = f"{type(error).__name__} {error!r} {error}"
        assert any(name in text for name in names.split("|")), f"wrong error: {text}"
        return error
    raise AssertionError(f"no error, expected {names}")


async def _bounded(function):
    await asyncio.wait_for(function(), DEADLINE_S * 2)


def main():
    chosen = sys.argv[2:]
    for name, function in _scenarios:
        if chosen and name not in chosen:
            continue
        started = time.monotonic()
        try:
            asyncio.run(_bounded(function)) if inspect.iscoroutinefunction(function) else function()
            print(f"ok {name} {time.monotonic() - started:.1f}", flush=True)
        except Exception as error:
            traceback.print_exc()
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"fail {name} {reason[:300]}", flush=True)
    sys.stdout.flush()
    # Clients leave threads that wait for brokers; nothing is left to do for them.
    os._exit(0)
