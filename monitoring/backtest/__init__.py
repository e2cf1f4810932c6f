"""What a spec would have alerted, had its rules been there: its expressions over recorded raw data."""
