"""Passwords: the policy, and argon2id hashing that does not slow down the sale.

argon2id with OWASP's parameters (19 MiB, two passes, one lane) takes about 20 ms of a core. It runs
on a few threads of its own at the lowest priority, and while the process is busy these back off
between two hashes. Priority alone is not enough: Linux applies it only among the threads of one
session or container, and Redis runs in another. The queue is bounded by a setting, so a login storm
is rejected before it costs anything.

Passwords are compared in Unicode form NFKC, so one typed on another keyboard still matches.
"""

import asyncio
import contextlib
import os
import threading
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.http.problems import invalid
from engine.errors import Overloaded

LENGTH_MIN, LENGTH_MAX = 8, 128
NICE = 19
BUSY = 0.5
"""Hashing backs off while the rest of the process uses more than this share of a core."""
BACKOFF = 4.0
"""The length of a backoff, as a multiple of the time of the hash before it."""
BACKOFF_S_MAX = 0.5
_COMMON = frozenset(
    """
    00000000 11111111 12341234 123123123 1234567890 12345678 123456789 12345678910 147258369
    1q2w3e4r 1q2w3e4r5t 1qaz2wsx 87654321 88888888 987654321 aa123456 abc12345 abcd1234 abcdefgh
    admin123 administrator asdfasdf asdfghjkl baseball changeme computer corvette dragon123 football
    iloveyou iloveyou1 internet jennifer letmein1 letmein123 liverpool michelle monkey123 p@ssw0rd
    pa55word passw0rd password password1 password12 password123 passwort princess q1w2e3r4 qazwsxedc
    qwer1234 qwerty123 qwertyui qwertyuiop qwertzuiop samantha starwars sunshine superman trustno1
    user1234 welcome1 welcome123 whatever zaq12wsx zxcvbnm1
    """.split()  # noqa: SIM905
)

DUMMY = (
    "$argon2id$v=19$m=19456,t=2,p=1"
    "$55znXt6wsacBqN3+BT+B7w$AzBpSFLCBpCBRO5B9tnCUozPu/9o1JerGT45HSxxWAQ"
)
"""The hash of 32 random, discarded bytes: compared with if there is no account."""

T = TypeVar("T")


def normal(password: str) -> str:
    """The form of a password that is hashed."""
    return unicodedata.normalize("NFKC", password)


def checked(password: str, email: str) -> str:
    """A new password in the form that is hashed. Raises the problem `invalid`.

    As NIST and OWASP recommend, only the length counts: there are no rules about digits and
    symbols. The most common passwords are rejected.
    """
    text = normal(password)
    if not LENGTH_MIN <= len(text) <= LENGTH_MAX:
        raise invalid("password", f"must have {LENGTH_MIN} to {LENGTH_MAX} characters")
    folded = text.casefold()
    if folded in _COMMON or folded in (email, email.partition("@")[0]) or len(set(folded)) == 1:
        raise invalid("password", "too common or too easy to guess, choose another one")
    return text


class Passwords:
    """Hashes and verifies passwords on low-priority threads, with a bounded queue."""

    def __init__(self, thread_count: int, waiting_max: int) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(thread_count, "passwords", _lower_priority)
        self._thread_count = thread_count
        self._concurrent_max = thread_count + waiting_max
        self._concurrent = 0
        self._thread = threading.local()

    def refuse_when_full(self) -> None:
        """Call this first for every request that needs a hash. Raises: Overloaded."""
        if self._concurrent >= self._concurrent_max:
            raise Overloaded(f"{self._concurrent} passwords are queued")

    async def hash(self, password: str) -> str:
        """Hash a `checked` password. Raises: Overloaded."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password matches the hash. Raises: Overloaded.

        Without a hash this returns False after the same time, so that the time does not reveal
        whether an account exists.
        """
        return await self._run(lambda: self._verify(normal(password), stored))

    def outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than the current ones."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Stop the threads and drop the queue."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, text: str, stored: str | None) -> bool:
        with contextlib.suppress(VerificationError, InvalidHashError):
            self._hasher.verify(stored or DUMMY, text)
            return stored is not None
        return False

    async def _run(self, work: Callable[[], T]) -> T:
        self.refuse_when_full()
        self._concurrent += 1
        future = self._threads.submit(self._with_backoff, work)
        loop = asyncio.get_running_loop()

        def leave(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the app has already stopped
                loop.call_soon_threadsafe(self._leave)

        future.add_done_callback(leave)
        return await asyncio.wrap_future(future)

    def _with_backoff(self, work: Callable[[], T]) -> T:
        """Do the work, after the backoff that the work before it left to this thread."""
        time.sleep(max(0.0, getattr(self._thread, "backoff_until_s", 0.0) - time.monotonic()))
        started_s, process_s, thread_s = time.monotonic(), time.process_time(), time.thread_time()
        try:
            return work()
        finally:
            now_s = time.monotonic()
            hashing_s = (time.thread_time() - thread_s) * self._thread_count
            others_s = time.process_time() - process_s - hashing_s
            if others_s > BUSY * (now_s - started_s):
                backoff_s = min(BACKOFF_S_MAX, BACKOFF * (now_s - started_s))
                self._thread.backoff_until_s = now_s + backoff_s

    def _leave(self) -> None:
        self._concurrent -= 1


def _lower_priority() -> None:
    """Linux has a priority per thread: all other work goes first."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
