"""Every metric of the system, and how several processes share one set of them."""
