"""One example of every body and response type; one module per part of the API.

They are part of the OpenAPI document. Tests check each against its schema and its struct.
"""

from typing import Any

from api.openapi.examples.accounts import ACCOUNTS
from api.openapi.examples.payments import PAYMENTS
from api.openapi.examples.sale import SALE

EXAMPLES: dict[type, Any] = {**SALE, **ACCOUNTS, **PAYMENTS}
