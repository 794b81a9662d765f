"""From a study file to its plan: every fault at once, before any work.

yamlfile knows the lines, schema the keys, resolve the entries, victims and cells what is to be
computed; load puts them together. Imports: plan, bridges, data, contract, errors. Only the command
line is above it.
"""
