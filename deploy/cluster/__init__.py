"""A whole deployment on one machine: three nodes behind nginx with TLS, and everything that watches them.

`make cluster` is the ground of `make run` (deploy.stack.ground) with more nodes and another supervisor, since it must
go on when one of them dies. `supervisor` starts processes again, `certificate` is what nginx shows, `cluster` is the
whole as tests and other commands drive it, `__main__` prints what is where.
"""
