"""What the OpenAPI document is made of beside the route table: components, examples, its page."""
