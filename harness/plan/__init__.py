"""What a study computes, and under which key. No torch.

From names and overrides (registry, entries, validation) to victims and cells with their keys (spec,
keys, budget), and to the whole study (study, gate). Imports: contract, data, errors. Below it are
the toolbox and the models; above it the store, which keeps results by these keys.
"""
