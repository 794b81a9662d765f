"""What several figures share: style, curves, heat maps, scatter plots.

Imports ``frame`` and ``stats``; ``figures`` has one file per figure.
"""
