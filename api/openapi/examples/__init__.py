"""One example of everything the API takes and gives, by type; a module a part of the API.

They stand in the OpenAPI document; tests hold each of them against its schema and its struct.
"""

from typing import Any

from api.openapi.examples.accounts import ACCOUNTS
from api.openapi.examples.payments import PAYMENTS
from api.openapi.examples.sale import SALE

EXAMPLES: dict[type, Any] = {**SALE, **ACCOUNTS, **PAYMENTS}
