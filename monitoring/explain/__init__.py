"""What an SLO means: how soon which failure is noticed, what it costs, what escapes it."""
