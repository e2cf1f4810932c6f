"""The messenger: people talk over WebSocket, and every fan-out path measures itself.

Read `__main__` (the way in), `factory` (all wiring), `realtime.session` (what a
client may say) and `realtime.hub` (who hears it): that is the system.
"""

__version__ = "0.1.0"
