"""The shapes of query that the dashboards share.

Each returns `legend: query` for a panel. Rates are over $__rate_interval, which Grafana adapts to
the zoom, so a dashboard is correct over five minutes and over a day.
"""

RATE = "[$__rate_interval]"


def quantiles(metric: str, *quantiles: float) -> dict[str, str]:
    """Quantiles of a histogram (`..._bucket`) over all its labels: `p99`."""
    return {
        f"p{100 * quantile:g}": f"histogram_quantile({quantile}, "
        f"sum by (le) (rate({metric}{RATE})))"
        for quantile in quantiles
    }


def p99_by(label: str, metric: str) -> dict[str, str]:
    """The p99 of a histogram (`..._bucket`) for each value of a label."""
    query = f"histogram_quantile(0.99, sum by ({label}, le) (rate({metric}{RATE})))"
    return {f"{{{{{label}}}}}": query}


def rate(legend: str, metric: str) -> dict[str, str]:
    """Rate per second, over all labels."""
    return {legend: f"sum(rate({metric}{RATE}))"}


def rate_by(label: str, metric: str) -> dict[str, str]:
    """Rate per second for each value of a label."""
    return {f"{{{{{label}}}}}": f"sum by ({label}) (rate({metric}{RATE}))"}


def average(legend: str, metric: str) -> dict[str, str]:
    """The average of a histogram, named without its `_bucket`."""
    return {legend: f"sum(rate({metric}_sum{RATE})) / sum(rate({metric}_count{RATE}))"}
