"""What is to be proved on a GPU, in ten minutes: ``python -m tests.gpu``, or ``make gpu``."""
