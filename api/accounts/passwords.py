"""Passwords: which are taken, and argon2id beside the sale instead of in its way.

argon2id at OWASP's figures (19 MiB, two passes, one lane) takes about 20 ms of a core, so it runs
on threads of its own: few, at the lowest priority, and while the process has much else to do they
rest between two hashes. Priority alone is not enough: Linux heeds it among the threads of one
session or container only, and Redis is in another. As many calls may wait as the settings say and
no more: a storm of logins is turned away before it has cost anything.

Only what Unicode calls the same is the same (NFKC): a password typed on another keyboard fits.
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
"""The share of a core that all else in the process uses, from which on hashing rests."""
REST = 4.0
"""How many times as long as it worked."""
REST_S_MAX = 0.5
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
"""The hash of 32 random bytes nobody kept: what is compared where there is no account."""

T = TypeVar("T")


def normal(password: str) -> str:
    """The password as it is hashed."""
    return unicodedata.normalize("NFKC", password)


def checked(password: str, email: str) -> str:
    """A new password as it is hashed. Raises the problem `invalid`.

    Length counts and nothing else does, as NIST and OWASP have it: no rules about digits and
    signs, only the passwords everybody tries first are refused.
    """
    text = normal(password)
    if not LENGTH_MIN <= len(text) <= LENGTH_MAX:
        raise invalid("password", f"{LENGTH_MIN} to {LENGTH_MAX} characters are needed")
    folded = text.casefold()
    if folded in _COMMON or folded in (email, email.partition("@")[0]) or len(set(folded)) == 1:
        raise invalid("password", "this one is guessed first: choose another")
    return text


class Passwords:
    """Hashes and verifies on threads of low priority; bounded in all respects."""

    def __init__(self, thread_count: int, waiting_max: int) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(thread_count, "passwords", _yield_to_others)
        self._thread_count = thread_count
        self._at_once_max = thread_count + waiting_max
        self._at_once = 0
        self._thread = threading.local()

    def refuse_when_full(self) -> None:
        """To be asked before anything else is done for a call that will need a hash.

        Raises: Overloaded.
        """
        if self._at_once >= self._at_once_max:
            raise Overloaded(f"{self._at_once} passwords are waiting")

    async def hash(self, password: str) -> str:
        """The hash of a `checked` password. Raises: Overloaded."""
        return await self._run(lambda: self._hasher.hash(password))

    async def fits(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one of the hash.

        With no hash there is nothing to compare, and it takes as long all the same: nobody
        learns from the time whether there is an account. Raises: Overloaded.
        """
        return await self._run(lambda: self._fits(normal(password), stored))

    def outdated(self, stored: str) -> bool:
        """Whether a hash was made with other figures than ours, and should be made again."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _fits(self, text: str, stored: str | None) -> bool:
        with contextlib.suppress(VerificationError, InvalidHashError):
            self._hasher.verify(stored or DUMMY, text)
            return stored is not None
        return False

    async def _run(self, work: Callable[[], T]) -> T:
        self.refuse_when_full()
        self._at_once += 1
        future = self._threads.submit(self._at_leisure, work)
        loop = asyncio.get_running_loop()

        def leave(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the app has ended meanwhile
                loop.call_soon_threadsafe(self._leave)

        future.add_done_callback(leave)
        return await asyncio.wrap_future(future)

    def _at_leisure(self, work: Callable[[], T]) -> T:
        """Do the work, after the rest that the last one left to this thread."""
        time.sleep(max(0.0, getattr(self._thread, "rests_until_s", 0.0) - time.monotonic()))
        began_s, process_s, own_s = time.monotonic(), time.process_time(), time.thread_time()
        try:
            return work()
        finally:
            now_s = time.monotonic()
            hashing_s = (time.thread_time() - own_s) * self._thread_count
            others_s = time.process_time() - process_s - hashing_s
            if others_s > BUSY * (now_s - began_s):
                rest_s = min(REST_S_MAX, REST * (now_s - began_s))
                self._thread.rests_until_s = now_s + rest_s

    def _leave(self) -> None:
        self._at_once -= 1


def _yield_to_others() -> None:
    """Linux has a priority a thread: everybody else's work comes first."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
