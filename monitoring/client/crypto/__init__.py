"""End-to-end encryption of a device, without any input or output: Olm between devices, Megolm for conversations.

`Machine` is the way in. It says what to upload, ask and send, and is told the answers; whoever drives it owns the
network. Primitives are vodozemac's; shapes are the Matrix client-server API's, so other clients understand them.
"""
