"""The whole campaign, in minutes: ``python -m tests.campaign``."""

import sys

from tests.campaign.studies import main

if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
