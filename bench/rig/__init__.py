"""What is measured and what it is measured against: installations, venues, reference endpoints."""
