"""Probes: what is left of the backdoor in a defended model.

A probe is one file in this folder. It plays the attacker after the defense has ended.
"""
