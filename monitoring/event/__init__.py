"""Telling the platform what happened: deploys."""
