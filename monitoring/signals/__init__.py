"""Typed signals: what a service measures, rendered to panels and to rules from one declaration."""
