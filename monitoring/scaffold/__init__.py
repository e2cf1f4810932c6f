"""A project for a new service: written once, then its owner's."""
