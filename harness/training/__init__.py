"""How a victim is made: the attack on the training data, the training, and loading from the store.

Imports the plan, the store, the evaluation, the toolbox, the contract and the data sets. The
training loop is in ``harness.toolbox.fit``; tasks that call these modules are in
``harness.execution``, and victims from other toolboxes in ``harness.bridges``.
"""
