"""The losses of IMS, and the solver that learns its masks.

Imports the contract and other modules of the toolbox; ``defenses/ims.py`` and
``defenses/ims_vit.py`` are the methods.
"""
