"""What all calls of one app share, made once from its settings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from api.accounts.mail import Mailer
from api.accounts.passwords import Passwords
from api.http.caching import Gzipped
from api.http.limits import RateLimits
from api.http.plan_budget import PlanBudget
from api.http.tokens import tokens_of
from api.signatures import STRIPE_HEADER, PaymentSignatures
from api.snapshots import Snapshots
from api.stores import Stores
from engine import Engine, Settings


class Services:
    """The shared parts of one app. The app connects `engine` when it starts."""

    engine: Engine
    document: Gzipped
    problem_pages: Mapping[str, Gzipped]

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self.settings = settings
        self.stores = stores
        self.tokens = tokens_of(settings)
        self.payment_signatures = PaymentSignatures(settings.payment_webhook_secret)
        self.stripe_signatures = PaymentSignatures(
            settings.stripe_webhook_secret, STRIPE_HEADER, "STRIPE_WEBHOOK_SECRET"
        )
        self.passwords = Passwords(settings.password_threads, settings.passwords_waiting_max)
        self.mailer = Mailer(settings)
        self.limits = RateLimits(settings)
        self.snapshots = Snapshots()
        self.plan_budget = PlanBudget()
        self.in_flight_count = 0
        self.in_flight_max = settings.requests_in_flight_max
        self.ready_parts = tuple(part for part in settings.ready_parts.split(",") if part)

    @contextmanager
    def waiting_for_client(self) -> Iterator[None]:
        """A request that waits for its client costs nothing: it does not count as in flight."""
        self.in_flight_count -= 1
        try:
            yield
        finally:
            self.in_flight_count += 1
