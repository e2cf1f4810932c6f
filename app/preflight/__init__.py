"""Whether this machine, these settings and what they point to are fit to serve: asked before a deploy, not after."""
