"""Deploys: written down by pipelines, shown beside what happened after them. They never mute anything."""
