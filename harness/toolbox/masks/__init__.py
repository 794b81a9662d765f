"""Gates on channels, masks on batch norm, and copies of networks with batch norm folded.

Imports torch alone. IMS, which learns gates, is next door in ``harness.toolbox.ims``.
"""
