"""What every endpoint of the API shares: views, errors, serializers and the OpenAPI schema."""
