"""Pure arithmetic of error budgets, burn rates and windows; exact decimals, no input or output."""
