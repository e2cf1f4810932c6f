"""The HTTP API: one blueprint an area. Bodies are typed and checked; errors name the field."""
