"""The report on a period: attainment, budget, incidents, deploys, and how much of it was measured."""
