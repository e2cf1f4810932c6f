"""The project's own configuration of production and what is generated from it, made once for all who read it.

Without the proofs, which take most of the time and which `python -m monitoring check` compares anyway: every
process of the tests makes this while it collects them.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from monitoring import config
from monitoring.generate import plan
from monitoring.options import DEFAULT_CONFIG

CONFIG = config.load(DEFAULT_CONFIG, "production")
_WITHOUT_PROOFS = msgspec.structs.replace(CONFIG.outputs, proofs=False)
PLAN = plan(replace(CONFIG, file=msgspec.structs.replace(CONFIG.file, outputs=_WITHOUT_PROOFS)))
