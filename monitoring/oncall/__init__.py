"""On call: takes Alertmanager's notifications, keeps them, shows them. Needs nothing of what it reports on."""
