"""From predictions to numbers: ACC, ASR and RA, DER and its kin, and how visible a trigger is.

Imports the contract, the data sets on the device, and the toolbox's predictions. The clean accuracy
that a defense measures on its own budget is in ``harness.toolbox.holdout``.
"""
