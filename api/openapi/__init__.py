"""The parts of the OpenAPI document that are not in the route table, and the page that shows it."""
