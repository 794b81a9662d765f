"""Pieces that two methods or more share."""
