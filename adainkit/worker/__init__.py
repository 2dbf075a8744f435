"""The process that editors talk to: `python -m adainkit.worker`. Its protocol is written down in
gimp_plugin/PROTOCOL.md.

It listens on the loopback interface, keeps models and styles warm between calls, and exits when nobody has called for a
while.
"""
