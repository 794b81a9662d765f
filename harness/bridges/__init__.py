"""Bridges to other toolboxes: their victims in our studies, our results in their formats."""
