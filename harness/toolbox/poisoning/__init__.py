"""What attacks share: poisoning of the training set, and of batches while they control training.

Imports the contract and other modules of the toolbox. The attack on the training data is run by
``harness.training.poisoning``.
"""
