"""Load: many connections of seeded devices, traffic between them, and a judgement of what became of it."""
