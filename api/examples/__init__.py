"""One example of everything the API takes and gives, by type; a module a part of the API.

They stand in the OpenAPI document; tests hold each of them against its schema and its struct.
"""

from typing import Any

from api.examples.accounts import ACCOUNTS
from api.examples.payments import PAYMENTS
from api.examples.sale import SALE

EXAMPLES: dict[type, Any] = {**SALE, **ACCOUNTS, **PAYMENTS}
