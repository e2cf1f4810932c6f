"""The wire, without input or output: WebSocket frames, the handshake, typed commands and events."""
