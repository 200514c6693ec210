"""How many decimals a currency has, by ISO 4217: 2, but for those listed here."""

_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_BY_CURRENCY = {code: decimals for decimals, codes in _DECIMALS.items() for code in codes.split()}


def decimals_of(currency: str) -> int:
    """The decimals of an amount in major units: 45.00 EUR, 4500 JPY, 4.500 BHD."""
    return _BY_CURRENCY.get(currency, 2)
