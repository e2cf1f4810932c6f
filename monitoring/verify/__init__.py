"""`python -m monitoring verify`: the deployment checklist, held against a running cluster and filled in with figures.

`checklist.yaml` is the list, in its order; `checklist` reads it and says what became of a box from what became of its
checks. `checks` are those, each by the name that boxes use, over what `evidence` finds of a cluster. `render` writes
what came out, `signing` who stands for it.
"""
