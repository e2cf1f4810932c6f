"""The whole stack on one machine, for development and for the end-to-end tests: `make run`.

`settings` says where everything is, `prepare` makes folders, secrets and configuration, `database`
starts PostgreSQL, `processes` lists what the supervisor (honcho) runs, `__main__` ties them together.
All state lies under one folder, so a second start goes on with the data of the first.
"""
